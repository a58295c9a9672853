package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// dial opens a connection and, with TLS, does its handshake. The certificate is
// always checked against the name that was dialed, an IP address too, unless
// the configuration names another or says how it checks itself.
func (c Config) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.DialTimeout)
	defer cancel()
	conn, err := c.Dialer(ctx, network, address)
	if err != nil {
		return nil, dialError(err, network)
	}
	if c.TLS == nil {
		return conn, nil
	}
	config, err := tlsFor(c.TLS, address)
	if err != nil {
		conn.Close()
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("kafka: TLS with broker %s: %w", address, err)
	}
	return secure, nil
}

// dialError makes the error of a Dialer one that franz-go knows: it waits and
// tries again, with another broker if there is one, after a *net.OpError. After
// another error it fails what is produced, and asks for a producer id again as
// fast as a processor can.
func dialError(err error, network string) error {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return err
	}
	return &net.OpError{Op: "dial", Net: network, Err: err}
}

// tlsFor is the configuration for a connection to a broker's address. A
// VerifyConnection of the caller is told the name that was dialed: crypto/tls
// tells it what was sent to the server, which is nothing for an IP address, so
// that there would be nothing to compare the certificate with.
func tlsFor(config *tls.Config, address string) (*tls.Config, error) {
	config = config.Clone()
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("kafka: TLS: no host in the broker's address %q: %w", address, err)
		}
		config.ServerName = host
	}
	if verify, name := config.VerifyConnection, config.ServerName; verify != nil {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			if state.ServerName == "" {
				state.ServerName = name
			}
			return verify(state)
		}
	}
	return config, nil
}

// CertificateRefused says whether err is this process's refusal of a broker's
// certificate, or the broker's refusal of this process's. Trying again does not
// help before somebody changes one of them.
func CertificateRefused(err error) bool {
	return certificateHint(err) != ""
}

// certificateHint says what to do about a certificate that was refused; "" if
// err is something else.
func certificateHint(err error) string {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
		other     *tls.CertificateVerificationError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &authority):
		return "the broker's certificate is not signed by an authority that this process trusts: set RootCAs in the TLS configuration"
	case errors.As(err, &hostname):
		return "the broker's certificate is for another host: dial the name that it is for, or set ServerName in the TLS configuration"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate has expired or is not valid yet: renew it, or set this machine's clock"
	case errors.As(err, &invalid), errors.As(err, &roots), errors.As(err, &other):
		return "the broker's certificate cannot be trusted"
	case errors.As(err, &remote) && remote.Op == "remote error" && strings.Contains(remote.Err.Error(), "certificate"):
		// crypto/tls does not export the type of the alerts that it receives.
		return "the broker does not accept this process's certificate, or wants one: set Certificates in the TLS configuration"
	}
	return ""
}
