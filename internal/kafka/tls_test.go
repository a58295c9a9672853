package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
)

// certificate is one that signs itself, for the hosts.
func certificate(t *testing.T, hosts ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLS(t *testing.T) {
	for _, test := range []struct {
		name  string
		hosts []string // of the certificate; the broker is dialed by its IP address
		edit  func(*tls.Config)
		error string
	}{
		{"right", []string{"127.0.0.1"}, nil, ""},
		{"another host", []string{"kafka.example"}, nil, "the broker's certificate is for another host"},
		{"another host, named", []string{"kafka.example"}, func(c *tls.Config) { c.ServerName = "kafka.example" }, ""},
		{"right, another one named", []string{"127.0.0.1"}, func(c *tls.Config) { c.ServerName = "kafka.example" }, "the broker's certificate is for another host"},
		{"unknown authority", []string{"127.0.0.1"}, func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, "not signed by an authority that this process trusts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cert, pool := certificate(t, test.hosts...)
			b, err := eventembed.Start(eventembed.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			c := &cluster{brokers: b.Addrs(), embed: b}
			config := &tls.Config{RootCAs: pool}
			if test.edit != nil {
				test.edit(config)
			}
			client := c.client(t, func(cfg *Config) { cfg.TLS = config })
			err = client.Ping(timeout(t))
			switch {
			case test.error == "" && err != nil:
				t.Error(err)
			case test.error != "" && (err == nil || !strings.Contains(err.Error(), test.error)):
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestTLSToPlaintext(t *testing.T) {
	c := embedded(t)
	client := c.client(t, func(cfg *Config) { cfg.TLS = new(tls.Config) })
	if err := client.Ping(timeout(t)); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("error: %v", err)
	}
}

func TestPlaintextToTLS(t *testing.T) {
	cert, _ := certificate(t, "127.0.0.1")
	b, err := eventembed.Start(eventembed.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	c := &cluster{brokers: b.Addrs(), embed: b}
	if err := c.client(t).Ping(timeout(t)); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("error: %v", err)
	}
}
