package kubelettest

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
)

// quietConn is a connection that takes what is written after its end, and says
// nothing of it. Where spdystream cannot send the reply to a stream, the reset of
// that stream races with whoever writes to it, or has him wait for ever
// (handleResetFrame and waitWriteReply); with this it always can.
type quietConn struct{ net.Conn }

func (c quietConn) Write(data []byte) (int, error) {
	_, _ = c.Conn.Write(data) // Reads tell of the end.
	return len(data), nil
}

// quietWriter hands out its connection as a quietConn.
type quietWriter struct{ http.ResponseWriter }

func (w quietWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("taking the connection over: %w", err)
	}
	return quietConn{conn}, buffered, nil
}
