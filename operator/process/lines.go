package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync"
)

// maxLine bounds a line that Envoy writes. The longest access log line is some
// headers of at most 60 KiB; what is longer is cut.
const maxLine = 1 << 20

// logFormat makes Envoy write its log as JSON: %j is the escaped message.
const logFormat = `{"level":"%l","logger":"%n","message":"%j"}`

// lines lets several Envoys write to one writer without mixing their lines.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

// write passes one line on. What the writer refuses is lost: an access log
// must not be able to stop the data plane.
func (l *lines) write(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.to.Write(append(line, '\n'))
}

// eachLine reads to the end of r and hands over every line without its line
// break. It goes on whatever the lines are: a pipe that nobody reads would
// stop the process at its other end.
func eachLine(r io.Reader, take func(line []byte)) {
	reader := bufio.NewReaderSize(r, 64<<10)
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		whole := err == nil
		if whole {
			part = part[:len(part)-1]
		}
		line = append(line, part[:min(len(part), maxLine-len(line))]...)
		ended := err != nil && !errors.Is(err, bufio.ErrBufferFull)
		if whole || ended && len(line) > 0 {
			take(line)
			line = line[:0]
		}
		if ended {
			return
		}
	}
}

// envoyLevels are spdlog's names for the levels.
var envoyLevels = map[string]slog.Level{
	"trace":    slog.LevelDebug,
	"debug":    slog.LevelDebug,
	"info":     slog.LevelInfo,
	"warning":  slog.LevelWarn,
	"error":    slog.LevelError,
	"critical": slog.LevelError,
}

// relay passes one line of Envoy's log on. A line that is not in logFormat
// comes from before the log is set up or from a crash: a warning, unaltered.
func relay(ctx context.Context, log *slog.Logger, line []byte) {
	var said struct{ Level, Logger, Message string }
	level, known := slog.LevelWarn, false
	if json.Unmarshal(line, &said) == nil {
		level, known = envoyLevels[said.Level]
	}
	if !known {
		log.LogAttrs(ctx, slog.LevelWarn, "envoy says", slog.String("text", string(line)))
		return
	}
	log.LogAttrs(ctx, level, "envoy says", slog.String("logger", said.Logger), slog.String("text", said.Message))
}
