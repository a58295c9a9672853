package events_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// sign makes a certificate for a host, valid for an hour before and after now
// plus shift.
func (a *authority) sign(host string, shift time.Duration) tls.Certificate {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"},
		NotBefore: time.Now().Add(shift - time.Hour), NotAfter: time.Now().Add(shift + time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// delayed is what a service reads from its configuration.
func delayed(t *testing.T, text string) *tls.Config {
	t.Helper()
	var c events.TLSConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c.Config
}

// DelayHostnameValidation turns Go's verification off, and the library's own
// takes its place: it refuses what Go's would.
func TestDelayedValidation(t *testing.T) {
	trusted, stranger := newAuthority(t), newAuthority(t)
	for _, test := range []struct {
		name   string
		server tls.Certificate
		edit   func(*tls.Config)
		ok     bool
	}{
		{"right", trusted.sign("kafka.example", 0), nil, true},
		{"another host", trusted.sign("other.example", 0), nil, false},
		{"unknown authority", stranger.sign("kafka.example", 0), nil, false},
		{"unknown authority and another host", stranger.sign("other.example", 0), nil, false},
		{"expired", trusted.sign("kafka.example", -3*time.Hour), nil, false},
		{"not valid yet", trusted.sign("kafka.example", 3*time.Hour), nil, false},
		{"valid by the configured clock", trusted.sign("kafka.example", 3*time.Hour), func(c *tls.Config) {
			c.Time = func() time.Time { return time.Now().Add(3 * time.Hour) }
		}, true},
		{"expired by the configured clock", trusted.sign("kafka.example", 0), func(c *tls.Config) {
			c.Time = func() time.Time { return time.Now().Add(3 * time.Hour) }
		}, false},
		{"an IP address", trusted.sign("192.0.2.1", 0), func(c *tls.Config) { c.ServerName = "192.0.2.1" }, true},
		{"another IP address", trusted.sign("192.0.2.1", 0), func(c *tls.Config) { c.ServerName = "192.0.2.2" }, false},
		{"an IP address, the certificate is for the name", trusted.sign("kafka.example", 0), func(c *tls.Config) { c.ServerName = "192.0.2.1" }, false},
		{"no name at all", trusted.sign("kafka.example", 0), func(c *tls.Config) { c.ServerName = "" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := delayed(t, `{"DelayHostnameValidation":true,"ServerName":"kafka.example"}`)
			if !config.InsecureSkipVerify || config.ServerName != "kafka.example" {
				t.Fatalf("InsecureSkipVerify %t, ServerName %q", config.InsecureSkipVerify, config.ServerName)
			}
			config.RootCAs = trusted.pool
			if test.edit != nil {
				test.edit(config)
			}
			err := handshake(t, config, test.server)
			if test.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			var refused *tls.CertificateVerificationError
			if !test.ok && (err == nil || config.ServerName != "" && !errors.As(err, &refused)) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// handshake lets a client meet a server. It is over TCP: what one side writes
// while the other one gives up must not wait for a reader.
func handshake(t *testing.T, client *tls.Config, server tls.Certificate) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		far, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer far.Close()
		_ = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{server}}).HandshakeContext(t.Context())
	}()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = tls.Client(near, client).HandshakeContext(t.Context())
	near.Close()
	<-done
	listener.Close()
	return err
}

func TestTLSConfigOfMisspelledFields(t *testing.T) {
	for text, field := range map[string]string{
		`{"ServerName":"kafka.example","CAFile":"ca.pem"}`: `"CAFile"`,
		`{"MinVerison":772}`:                        `"MinVerison"`,
		`{"Config":{"ServerName":"kafka.example"}}`: `"Config"`,
	} {
		var c events.TLSConfig
		if err := json.Unmarshal([]byte(text), &c); err == nil || !strings.Contains(err.Error(), field) || c.Config != nil {
			t.Errorf("%s: error %v, configuration %t", text, err, c.Config != nil)
		}
	}
}

// Whatever the text is: an error, or a configuration that verifies what a
// server shows it.
func FuzzTLSConfig(f *testing.F) {
	for _, text := range []string{
		``, `{}`, `null`, `[]`, `7`, `"x"`,
		`{"ServerName":"kafka.example","MinVersion":772}`,
		`{"DelayHostnameValidation":true}`,
		`{"DelayHostnameValidation":false,"InsecureSkipVerify":true}`,
		`{"delayhostnamevalidation":true,"servername":"x"}`,
		`{"DelayHostnameValidation":"true"}`,
		`{"ServerName":7}`, `{"RootCAs":{}}`, `{"Certificates":[{}]}`, `{"VerifyConnection":null}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c events.TLSConfig
		before := bytes.Clone(text)
		err := c.UnmarshalJSON(text)
		if !bytes.Equal(before, text) {
			t.Fatal("the text was changed")
		}
		if err != nil {
			if c.Config != nil {
				t.Fatal("an error, and a configuration")
			}
			return
		}
		var extra struct{ DelayHostnameValidation bool }
		if err := json.Unmarshal(text, &extra); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		if extra.DelayHostnameValidation != (c.VerifyConnection != nil) {
			t.Fatalf("DelayHostnameValidation %t, VerifyConnection %t", extra.DelayHostnameValidation, c.VerifyConnection != nil)
		}
		if !extra.DelayHostnameValidation {
			return
		}
		if !c.InsecureSkipVerify || c.VerifyConnection(tls.ConnectionState{ServerName: "kafka.example"}) == nil {
			t.Fatal("a server without certificate is accepted")
		}
		// Nobody trusts this one.
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"kafka.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		state := tls.ConnectionState{ServerName: "kafka.example", PeerCertificates: []*x509.Certificate{leaf}}
		if c.VerifyConnection(state) == nil {
			t.Fatal("a certificate that signs itself is accepted")
		}
	})
}
