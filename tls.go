package events

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
)

// TLSConfig is a *tls.Config that can be read from JSON.
type TLSConfig struct {
	*tls.Config
}

// UnmarshalJSON reads the fields of [tls.Config] that JSON can hold, by their
// Go names, and one more: with "DelayHostnameValidation": true the server's
// certificate is verified after the handshake instead of during it, chain and
// host name alike, against RootCAs and ServerName.
func (c *TLSConfig) UnmarshalJSON(text []byte) error {
	config := new(tls.Config)
	if err := json.Unmarshal(text, config); err != nil {
		return fmt.Errorf("TLS configuration: %w", err)
	}
	var extra struct{ DelayHostnameValidation bool }
	if err := json.Unmarshal(text, &extra); err != nil {
		return fmt.Errorf("TLS configuration: %w", err)
	}
	if extra.DelayHostnameValidation {
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error { return verify(config, state) }
	}
	c.Config = config
	return nil
}

// verify does what the handshake did not.
func verify(config *tls.Config, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server has sent no certificate")
	}
	name := config.ServerName
	if name == "" {
		name = state.ServerName
	}
	if name == "" {
		return errors.New("the host name of the server's certificate cannot be verified without a name; set ServerName, or dial by name")
	}
	options := x509.VerifyOptions{Roots: config.RootCAs, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}
