package xds

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
)

// UnixPeer is the AuthInfo of a connection over a unix socket: what the kernel
// says of the process that connected (SO_PEERCRED of unix(7), taken at
// connect), and the socket it connected to.
type UnixPeer struct {
	credentials.CommonAuthInfo
	PID int
	UID uint32
	// Path is the path of the server's socket.
	Path string
}

// AuthType names the kind of credentials.
func (UnixPeer) AuthType() string { return unixProtocol }

const unixProtocol = "unix-peercred"

var errServerOnly = errors.New("xds: unix peer credentials are for servers")

// UnixCredentials are transport credentials for servers on unix sockets: they
// refuse every other connection, and hand a UnixPeer to the Authenticator.
// Who may connect at all is decided by the modes of the socket and its
// directory.
func UnixCredentials() credentials.TransportCredentials { return unixCredentials{} }

type unixCredentials struct{}

// ServerHandshake asks the kernel who is at the other end.
func (unixCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, fmt.Errorf("xds: connection over %s, want a unix socket", conn.LocalAddr().Network())
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("xds: reading the peer of %s: %w", conn.LocalAddr(), err)
	}
	var (
		peer  *unix.Ucred
		fault error
	)
	if err := raw.Control(func(fd uintptr) {
		peer, fault = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, nil, fmt.Errorf("xds: reading the peer of %s: %w", conn.LocalAddr(), err)
	}
	if fault != nil {
		return nil, nil, fmt.Errorf("xds: reading the peer of %s: %w", conn.LocalAddr(), fault)
	}
	if peer.Pid <= 0 {
		return nil, nil, fmt.Errorf("xds: the peer of %s is outside of this PID namespace", conn.LocalAddr())
	}
	return conn, UnixPeer{
		SecurityLevel: credentials.PrivacyAndIntegrity,
		PID:           int(peer.Pid),
		UID:           peer.Uid,
		Path:          conn.LocalAddr().String(),
	}, nil
}

// ClientHandshake is refused: a client has nothing to prove by these.
func (unixCredentials) ClientHandshake(
	context.Context, string, net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errServerOnly
}

// Info names the protocol.
func (unixCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: unixProtocol}
}

// Clone returns the credentials, which hold nothing.
func (c unixCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName is refused: a unix socket has no server name.
func (unixCredentials) OverrideServerName(string) error { return errServerOnly }
