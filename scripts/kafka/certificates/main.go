// Command certificates writes the certificates with which the tests' Kafka
// listens to TLS, as PEM files into the folder that it is given:
//
//	ca.pem      the authority that has signed all of them
//	name.pem    the brokers' for the DNS name localhost, with its key
//	address.pem the brokers' for the IP address 127.0.0.1, with its key
//	client.pem  a client's, with its key
//
// The authority's key is not kept. They are valid for ten years.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: certificates FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "certificates:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	ca, err := newPair(&x509.Certificate{
		Subject: pkix.Name{CommonName: "events tests"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "ca.pem"), block("CERTIFICATE", ca.cert.Raw), 0o600); err != nil {
		return err
	}
	for name, template := range map[string]*x509.Certificate{
		"name":    {Subject: pkix.Name{CommonName: "broker"}, DNSNames: []string{"localhost"}},
		"address": {Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		"client":  {Subject: pkix.Name{CommonName: "client"}},
	} {
		// A broker is also a client of itself, when it looks at what it was given.
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		template.KeyUsage = x509.KeyUsageDigitalSignature
		p, err := newPair(template, ca)
		if err != nil {
			return err
		}
		key, err := x509.MarshalPKCS8PrivateKey(p.key) // the one form that Kafka reads
		if err != nil {
			return err
		}
		content := bytes.Join([][]byte{block("PRIVATE KEY", key), block("CERTIFICATE", p.cert.Raw)}, nil)
		if err := os.WriteFile(filepath.Join(folder, name+".pem"), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newPair fills in the template and has it signed by an authority, or without
// one by itself.
func newPair(template *x509.Certificate, by *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-24*time.Hour), time.Now().AddDate(10, 0, 0)
	if by == nil {
		by = &pair{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &pair{cert, key}, err
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
