package eventembed

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// user is somebody who may authenticate.
type user struct{ mechanism, name, password string }

// login is how a client authenticates as the user.
func (u user) login() sasl.Mechanism {
	switch u.mechanism {
	case "SCRAM-SHA-256":
		return scram.Auth{User: u.name, Pass: u.password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: u.name, Pass: u.password}.AsSha512Mechanism()
	default:
		return plain.Auth{User: u.name, Pass: u.password}.AsMechanism()
	}
}

// refuseMechanisms sees to it that the cluster refuses the mechanisms for
// which it has no user, as Kafka does with those that are not enabled.
func (b *Broker) refuseMechanisms() {
	if len(b.config.users) == 0 {
		return
	}
	b.cluster.Fault(kfake.Fault{
		Keys:  []kmsg.Key{kmsg.SASLHandshake},
		Err:   kerr.UnsupportedSaslMechanism,
		Count: -1,
		When: func(body kmsg.Request) bool {
			handshake, ok := body.(*kmsg.SASLHandshakeRequest)
			return ok && !slices.ContainsFunc(b.config.users, func(u user) bool { return u.mechanism == handshake.Mechanism })
		},
	})
}

// refusal is the answer that a client with wrong credentials gets from Kafka;
// the cluster only closes the connection. req is a SASLAuthenticate request.
func refusal(req *request) []byte {
	resp := req.body.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
	resp.ErrorMessage = kmsg.StringPtr("Authentication failed: invalid user name or password")
	frame := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(req.correlationID))
	if resp.IsFlexible() {
		frame = append(frame, 0) // no tagged fields in the header
	}
	frame = resp.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

// ownLogin is what the Broker's own client authenticates with.
func (b *Broker) ownLogin() []kgo.Opt {
	if len(b.config.users) == 0 {
		return nil
	}
	return []kgo.Opt{kgo.SASL(b.config.users[0].login())}
}
