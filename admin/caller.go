package admin

import "context"

// Caller is who asks for a change. The zero value is the process itself.
type Caller struct {
	// Name is that of the token over TCP; empty over the socket, where the request names its author.
	Name string
	// Via is "socket", "tcp", "dashboard" or "signal".
	Via string
	// Remote is the address of who asks over TCP.
	Remote string
}

type callerKey struct{}

// WithCaller notes in a context who asks.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf is who asks; the zero Caller when nobody is noted.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
