//go:build !linux

package healthcheck

import (
	"context"
	"net/netip"
)

func dial(ctx context.Context, to netip.AddrPort) (*link, error) { return dialPortably(ctx, to) }
