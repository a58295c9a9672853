package kafka

import (
	"context"
	"fmt"
	"net"
	"strconv"

	kafkago "github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/sasl"
)

// mechanism makes franz-go authenticate with a mechanism of kafka-go, which is
// what the library's users have.
type mechanism struct{ kafkago.Mechanism }

// Authenticate begins an exchange with the broker at address. Mechanisms that
// need to know whom they talk to find it in the context.
func (m mechanism) Authenticate(ctx context.Context, address string) (sasl.Session, []byte, error) {
	meta := &kafkago.Metadata{Host: address}
	if host, port, err := net.SplitHostPort(address); err == nil {
		meta.Host = host
		meta.Port, _ = strconv.Atoi(port) // 0 for a named port
	}
	ctx = kafkago.WithMetadata(ctx, meta)
	machine, first, err := m.Start(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka: SASL %s with broker %s: %w", m.Name(), address, err)
	}
	return &session{ctx: ctx, machine: machine, name: m.Name()}, first, nil
}

// session is one exchange. kafka-go never sends what a mechanism returns when
// it is done; franz-go would, so it gets nothing then.
type session struct {
	ctx     context.Context
	machine kafkago.StateMachine
	name    string
}

func (s *session) Challenge(challenge []byte) (done bool, response []byte, err error) {
	done, response, err = s.machine.Next(s.ctx, challenge)
	if err != nil {
		return false, nil, fmt.Errorf("kafka: SASL %s: %w", s.name, err)
	}
	if done {
		return true, nil, nil
	}
	return false, response, nil
}
