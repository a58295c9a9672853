package eventembed_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/seed46dd6f11/events/eventembed"
)

func TestSASL(t *testing.T) {
	mechanisms := map[string]func(user, password string) sasl.Mechanism{
		"PLAIN": func(u, p string) sasl.Mechanism { return plain.Auth{User: u, Pass: p}.AsMechanism() },
		"SCRAM-SHA-256": func(u, p string) sasl.Mechanism {
			return scram.Auth{User: u, Pass: p}.AsSha256Mechanism()
		},
		"SCRAM-SHA-512": func(u, p string) sasl.Mechanism {
			return scram.Auth{User: u, Pass: p}.AsSha512Mechanism()
		},
	}
	for mechanism, login := range mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			b := start(t, eventembed.User(mechanism, "ann", "secret"), eventembed.Topics(1, "orders"))
			produce(t, client(t, b, kgo.SASL(login("ann", "secret"))), "orders", "a")
			if err := b.AddPartitions("orders", 1); err != nil {
				t.Fatal(err)
			}
			expectStored(t, b, "orders", "a")

			for user, password := range map[string]string{"ann": "wrong", "bob": "secret"} {
				err := client(t, b, kgo.SASL(login(user, password))).Ping(within(t))
				if !errors.Is(err, kerr.SaslAuthenticationFailed) {
					t.Errorf("%s with the password %q: got %v", user, password, err)
				}
			}
			for other, login := range mechanisms {
				err := client(t, b, kgo.SASL(login("ann", "secret"))).Ping(within(t))
				if other == mechanism && err != nil || other != mechanism && !errors.Is(err, kerr.UnsupportedSaslMechanism) {
					t.Errorf("mechanism %s: got %v", other, err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := client(t, b).Ping(ctx); err == nil {
				t.Error("a client without credentials gets in")
			}
		})
	}
}

// certificate makes the configurations of a server at 127.0.0.1 and of its
// clients.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots}
}

func TestTLSWithFaults(t *testing.T) {
	server, trust := certificate(t)
	b := start(t, eventembed.TLS(server), eventembed.Topics(1, "orders"))
	cl := client(t, b, kgo.DialTLSConfig(trust), kgo.DisableIdempotentWrite())
	produce(t, cl, "orders", "a")
	m := onlyProduce("orders")
	m.Count = 1
	lost := b.DropResponse(m)
	produce(t, cl, "orders", "b")
	expect(t, "hits", lost.Hits(), 1)
	expectStored(t, b, "orders", "a", "b", "b")

	_, stranger := certificate(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := client(t, b, kgo.DialTLSConfig(stranger)).Ping(ctx); err == nil {
		t.Error("a client trusts a certificate that it does not know")
	}
	if err := client(t, b).Ping(ctx); err == nil {
		t.Error("a broker with TLS speaks plaintext")
	}
}
