package node

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"gtmd/config"
	"gtmd/handover"
)

// handed is what a process tells the one that takes over from it. Its JSON form is stable: fields are added, and what they
// lack is as if nobody had known it.
type handed struct {
	// Generation is that of the view in use: the next process goes on above it.
	Generation uint64 `json:"generation"`
	// State is as in the state file.
	State json.RawMessage `json:"state"`
	// CookieSecret is the random secret of DNS cookies, which is nowhere on disk: cookies of clients stay good.
	CookieSecret []byte `json:"cookie_secret,omitempty"`
}

// owner hands a node over; see handover.Owner. Only the goroutine of the door uses it.
type owner struct {
	node    *Node
	frozen  chan error    // what became of the controller's standing still; nil: it does not
	release chan struct{} // closed when it may go on
}

// Offer waits for a reload that is under way; the next one waits for what becomes of this.
func (o *owner) Offer(ctx context.Context) (sockets []handover.Socket, state []byte, err error) {
	n := o.node
	select {
	case n.loading <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() {
		if err != nil {
			handover.Close(sockets)
			<-n.loading
		}
	}()
	for _, part := range []func() ([]handover.Socket, error){n.sockets.Held, n.dns.Sockets, n.admin.Sockets} {
		some, err := part()
		if err != nil {
			return sockets, nil, err
		}
		sockets = append(sockets, some...)
	}
	state, err = n.handed(false)
	return sockets, state, err
}

// Freeze has the controller do nothing else until Abort or Leave, and keeps the state file as it is: whatever changes
// meanwhile would be unknown to the next process, or be undone by it.
func (o *owner) Freeze(ctx context.Context) (state []byte, err error) {
	n := o.node
	o.frozen, o.release = make(chan error, 1), make(chan struct{})
	stands := make(chan error, 1)
	work := func() error {
		n.teller.settle() // so that the next process tells nothing again
		n.saving.Lock()
		defer n.saving.Unlock()
		state, err = n.handed(true)
		stands <- err
		<-o.release
		return nil
	}
	n.running.Go(func() { o.frozen <- n.ask(ctx, work) })
	select {
	case err := <-stands:
		return state, err
	case err := <-o.frozen: // the controller never did it
		o.frozen <- err
		return nil, err
	}
}

func (o *owner) Abort() {
	o.thaw()
	<-o.node.loading
}

// thaw lets the controller go on.
func (o *owner) thaw() {
	if o.frozen != nil {
		close(o.release)
		<-o.frozen
		o.frozen, o.release = nil, nil
	}
}

// Leave keeps loading: a reload would open sockets.
func (o *owner) Leave() {
	n := o.node
	n.left.Store(true)
	n.dns.Leave()
	n.admin.Leave()
	n.setPhase("another gtmd has taken over")
	n.endTelling() // the next process waits for it: the files are its own from here on
}

// handed is what the next process has to know; frozen, when nothing is published after it.
func (n *Node) handed(frozen bool) ([]byte, error) {
	state, err := encodeState(n.body(frozen))
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	secret := n.dns.CookieSecret()
	return json.Marshal(handed{Generation: n.world.Load().view.Generation, State: state, CookieSecret: secret[:]})
}

// decodeHanded is the inverse of handed.
func decodeHanded(text []byte) (h handed, body stateBody, err error) {
	if err := json.Unmarshal(text, &h); err != nil {
		return h, body, fmt.Errorf("read what the running gtmd hands over: %w", err)
	}
	body, err = decodeState(h.State)
	return h, body, err
}

// doorOf is where the next process finds the one that runs: beside the admin socket, which is different for every gtmd of a
// machine; without one in the state directory.
func doorOf(c *config.Config) string {
	if c.File.Admin.Socket != "" {
		return filepath.Clean(c.File.Admin.Socket) + ".takeover"
	}
	return filepath.Join(c.File.State.Dir, "takeover")
}

// runDoor hands over to the first process that asks at the door and takes all; HandedOver tells. A door at another place is
// opened when the configuration says so.
func (n *Node) runDoor(ctx context.Context, door *handover.Door, path string) {
	for {
		if door == nil {
			n.awaitMove(ctx, path)
		} else if n.serveDoor(ctx, door, path) {
			return
		}
		if ctx.Err() != nil {
			return
		}
		door, path = n.openDoor()
	}
}

// serveDoor returns true when it has handed over and the node has been closed, and false when ctx has ended or the door has
// another place.
func (n *Node) serveDoor(ctx context.Context, door *handover.Door, path string) bool {
	here, leave := context.WithCancel(ctx)
	defer leave()
	n.running.Go(func() {
		defer leave()
		n.awaitMove(here, path)
	})
	o := &owner{node: n}
	heir := door.Serve(here, o)
	if heir == nil {
		return false
	}
	n.successor = heir.PID
	close(n.handedOver)
	heir.Wait() // also Close does: who supervises this process has to know the other one before it ends
	<-ctx.Done()
	o.thaw()
	return true
}

// openDoor opens the door where the configuration has it; it is nil when that does not work.
func (n *Node) openDoor() (door *handover.Door, path string) {
	path = doorOf(n.world.Load().config)
	door, err := handover.OpenDoor(path, n.options.Version.Version, n.log)
	if err != nil {
		n.log.Warn("no other gtmd can take over without a loss", "error", err)
	}
	return door, path
}

// awaitMove returns when the configuration has another place for the door, or ctx ends.
func (n *Node) awaitMove(ctx context.Context, path string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.moved:
		}
		if doorOf(n.world.Load().config) != path {
			return
		}
	}
}

// tellMoved has the door look whether its place is another; it never blocks.
func (n *Node) tellMoved() {
	select {
	case n.moved <- struct{}{}:
	default:
	}
}

// HandedOver is closed when another process has taken over: nothing is read any more, and Close is due.
func (n *Node) HandedOver() <-chan struct{} { return n.handedOver }

// Successor is the number of the process that has taken over; it may be read once HandedOver is closed. 0: it is in a PID
// namespace that this process does not see.
func (n *Node) Successor() int { return n.successor }
