package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// dial opens a connection and, with TLS, does its handshake. The certificate is
// always checked against the name that was dialed, an IP address too, unless
// the configuration names another or says how it checks itself.
func (c Config) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.DialTimeout)
	defer cancel()
	conn, err := c.Dialer(ctx, network, address)
	if err != nil || c.TLS == nil {
		return conn, err
	}
	config := c.TLS.Clone()
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("kafka: TLS: no host in the broker's address %q: %w", address, err)
		}
		config.ServerName = host
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("kafka: TLS with broker %s: %w", address, err)
	}
	return secure, nil
}
