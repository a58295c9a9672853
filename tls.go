package events

import (
	"bytes"
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
// certificate is verified by the library at the end of the handshake instead
// of by crypto/tls in the middle of it: chain, validity and host name alike,
// against RootCAs, and ServerName or the name or address that was dialed. What
// JSON cannot hold, as RootCAs and Certificates, can be set on Config
// afterwards. Any other field is an error: a limit that is misspelled must not
// be left out without a word.
func (c *TLSConfig) UnmarshalJSON(text []byte) error {
	config := new(tls.Config)
	fields := struct {
		*tls.Config
		DelayHostnameValidation bool
	}{Config: config}
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&fields); err != nil {
		return fmt.Errorf("TLS configuration: %w; it has the fields of tls.Config that JSON can hold, and DelayHostnameValidation: "+
			"RootCAs and Certificates are set on Config afterwards", err)
	}
	if fields.DelayHostnameValidation {
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error { return verify(config, state) }
	}
	c.Config = config
	return nil
}

// verify does what the handshake did not. config is the one that was read,
// which may have been cloned since, by the library for each connection: the
// name of the connection's own clone comes with its state. A server whose
// address is an IP address is not told a name, and then it is not in the state,
// unless the library has put it there.
func verify(config *tls.Config, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server has sent no certificate")
	}
	name := state.ServerName
	if name == "" {
		name = config.ServerName
	}
	if name == "" {
		return errors.New("the host name of the server's certificate cannot be verified without a name; set ServerName")
	}
	options := x509.VerifyOptions{Roots: config.RootCAs, DNSName: name, Intermediates: x509.NewCertPool()}
	if config.Time != nil {
		options.CurrentTime = config.Time()
	}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	if _, err := state.PeerCertificates[0].Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}
