package node

import (
	"context"
	"time"
)

// runTidier calls Options.Loaded once nothing is being loaded any more, until ctx ends.
func (n *Node) runTidier(ctx context.Context) {
	if n.options.Loaded == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.untidy:
		}
		// What has been loaded is saved first, which takes memory too.
		select {
		case <-ctx.Done():
			return
		case <-time.After(saveInterval):
		}
		select {
		case <-ctx.Done():
			return
		case n.loading <- struct{}{}:
		}
		<-n.loading
		n.options.Loaded()
	}
}

// tidy notes that something has been loaded.
func (n *Node) tidy() {
	select {
	case n.untidy <- struct{}{}:
	default:
	}
}
