//go:build portable || !linux || !(amd64 || arm64)

package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"gtmd/handover"
)

// plainWorker reads a UDP socket one packet at a time through package net. It serves every system, at more cost per query than
// the batch worker; a wildcard address may answer from another address than it was asked on, so list addresses explicitly there.
type plainWorker struct {
	server *Server
	conn   *net.UDPConn
	limit  int
	local  netip.AddrPort
	held   bool // whether another process keeps the socket open for the one after this
}

// openUDP opens a UDP socket and tells the address that it is bound to.
func (s *Server) openUDP(address netip.AddrPort, options Options) (udpWorker, netip.AddrPort, error) {
	config := net.ListenConfig{Control: shared}
	conn, err := config.ListenPacket(context.Background(), network("udp", address), address.String())
	if err != nil {
		return nil, address, err
	}
	udp := conn.(*net.UDPConn)
	udp.SetReadBuffer(receiveBuffer) // as much as the kernel allows
	bound := netip.AddrPortFrom(address.Addr(), udp.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	return &plainWorker{server: s, conn: udp, limit: options.MaxUDPPayload, local: bound}, bound, nil
}

// inheritUDP makes a worker of a socket that another process has opened, and takes it over, also on an error.
func (s *Server) inheritUDP(socket handover.Socket, address netip.AddrPort, options Options) (udpWorker, error) {
	f := os.NewFile(uintptr(socket.FD), socket.String())
	defer f.Close() // FilePacketConn duplicates it
	err := checkFamily(socket.FD, address)
	var conn net.PacketConn
	if err == nil {
		conn, err = net.FilePacketConn(f)
	}
	if err != nil {
		return nil, fmt.Errorf("use the socket %s that was passed: %w", socket, err)
	}
	udp := conn.(*net.UDPConn)
	udp.SetReadBuffer(receiveBuffer)
	return &plainWorker{server: s, conn: udp, limit: options.MaxUDPPayload, local: address, held: socket.Held}, nil
}

func (w *plainWorker) socket() (socket handover.Socket, err error) {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return socket, err
	}
	if controlErr := raw.Control(func(fd uintptr) { socket, err = handover.Duplicate(int(fd)) }); controlErr != nil {
		return socket, controlErr
	}
	return socket, err
}

func (w *plainWorker) leave() { w.conn.SetReadDeadline(time.Unix(1, 0)) }

func (w *plainWorker) own() {}

func (w *plainWorker) run() {
	count := w.server.stats.join(true)
	defer w.server.stats.leave(count)
	defer w.conn.Close()
	r := w.server.responder(count)
	r.record.local = w.local
	in, out := make([]byte, packetLen), make([]byte, 0, w.limit)
	for w.answer(r, in, out) {
	}
}

// answer reads and answers one packet; it reports false when nothing more is to be read.
func (w *plainWorker) answer(r *Responder, in, out []byte) (more bool) {
	n := 0
	defer func() {
		if reason := recover(); reason != nil {
			w.server.caught(reason, in[:n])
			more = true
		}
	}()
	n, source, err := w.conn.ReadFromUDPAddrPort(in)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false
	case err != nil:
		// Nothing the worker can mend; a pause keeps a broken socket from spinning.
		w.server.log.Error("receive queries", "error", err)
		time.Sleep(drainTime)
		return true
	}
	r.record.port = source.Port()
	if reply := r.Respond(out, in[:n], source.Addr().Unmap().WithZone(""), w.limit); len(reply) > 0 {
		if _, err := w.conn.WriteToUDPAddrPort(reply, source); err != nil {
			w.server.stats.unsent.Add(1)
		}
	}
	return true
}

// stop leaves time to read what has arrived: a deadline that has passed would end reading at once.
func (w *plainWorker) stop() {
	if w.held {
		w.leave()
		return
	}
	// Other systems do not let a connected socket send elsewhere.
	if raw, err := w.conn.SyscallConn(); err == nil && runtime.GOOS == "linux" {
		raw.Control(func(fd uintptr) { retire(int(fd)) })
	}
	w.conn.SetReadDeadline(time.Now().Add(drainTime))
}

func (w *plainWorker) close() { w.conn.Close() }
