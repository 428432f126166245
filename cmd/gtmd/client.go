package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

const defaultSocket = "/run/gtmd/admin.sock"

// How long a request may take. A reload waits for the first verdicts of new addresses, up to startup_wait.
const (
	readLimit  = time.Minute
	orderLimit = 15 * time.Minute
)

// client asks a running gtmd through its unix socket.
type client struct{ socket string }

func (c *client) add(command *cobra.Command) {
	socket := os.Getenv("GTMD_SOCKET")
	if socket == "" {
		socket = defaultSocket
	}
	command.Flags().StringVarP(&c.socket, "socket", "s", socket, "admin socket of the running gtmd (or $GTMD_SOCKET)")
}

// get asks for a path and decodes the reply.
func (c *client) get(ctx context.Context, path string, query url.Values, reply any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, reply)
}

// post sends a body, which may be nil, and decodes the reply.
func (c *client) post(ctx context.Context, path string, body, reply any) error {
	var encoded io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		encoded = bytes.NewReader(text)
	}
	return c.do(ctx, http.MethodPost, path, encoded, reply)
}

func (c *client) do(ctx context.Context, method, path string, body io.Reader, reply any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://gtmd"+path, body)
	if err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", c.socket)
	}}
	defer transport.CloseIdleConnections()
	limit := readLimit
	if method == http.MethodPost {
		limit = orderLimit
	}
	response, err := (&http.Client{Transport: transport, Timeout: limit}).Do(request)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("cannot reach gtmd on %s: %w%s", c.socket, errors.Unwrap(err), reachHint(err))}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return &exitError{exitUnreachable, fmt.Errorf("read the reply of gtmd on %s: %w", c.socket, err)}
	}
	if response.StatusCode != http.StatusOK {
		var failure admin.Failure
		if json.Unmarshal(text, &failure) != nil || failure.Error == "" {
			failure.Error = fmt.Sprintf("HTTP %s", response.Status)
		}
		return errors.New(failure.Error)
	}
	return json.Unmarshal(text, reply)
}

// isUnreachable reports whether a request got no reply.
func isUnreachable(err error) bool {
	failed, ok := errors.AsType[*exitError](err)
	return ok && failed.code == exitUnreachable
}

// reachHint says what to do when the socket does not answer.
func reachHint(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return " (is gtmd running? another socket is named with --socket)"
	case errors.Is(err, os.ErrPermission):
		return " (the socket belongs to the group of gtmd: use sudo, or join the group)"
	default:
		return ""
	}
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
