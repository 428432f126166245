//go:build !portable && linux && (amd64 || arm64)

package server

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchLen is how many packets one system call reads or sends. From 8 to 64 cost the same.
const batchLen = 32

// batchWorker reads and sends many packets with one system call (recvmmsg, sendmmsg), past the runtime's poller: a worker
// that sleeps in the kernel wakes cheaper than one that is parked.
type batchWorker struct {
	server  *Server
	fd      int
	limit   int
	local   netip.AddrPort
	stopped atomic.Bool
	in, out batch
}

// batch is the memory of up to batchLen messages.
type batch struct {
	headers  [batchLen]mmsghdr
	vectors  [batchLen]unix.Iovec
	names    [batchLen]unix.RawSockaddrInet6 // large enough for an IPv4 one
	controls [batchLen][controlLen]byte
	packets  [batchLen][]byte
}

// controlLen has room for one IP_PKTINFO or IPV6_PKTINFO message.
const controlLen = 64

// mmsghdr is struct mmsghdr of recvmmsg(2) on 64-bit systems.
type mmsghdr struct {
	hdr    unix.Msghdr
	length uint32
	_      uint32
}

// openUDP opens a UDP socket and tells the address that it is bound to.
func (s *Server) openUDP(address netip.AddrPort, options Options) (udpWorker, netip.AddrPort, error) {
	fd, bound, err := openSocket(address)
	if err != nil {
		return nil, address, err
	}
	w := &batchWorker{server: s, fd: fd, limit: options.MaxUDPPayload, local: bound}
	w.in.init(packetLen)
	w.out.init(options.MaxUDPPayload)
	return w, bound, nil
}

// init gives every message its memory.
func (b *batch) init(size int) {
	memory := make([]byte, batchLen*size)
	for i := range b.headers {
		b.packets[i] = memory[i*size : (i+1)*size : (i+1)*size]
		b.vectors[i].Base = &b.packets[i][0]
		h := &b.headers[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
	}
}

// run answers until stop, and then what the socket still holds.
func (w *batchWorker) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	count := w.server.stats.join(true)
	defer w.server.stats.leave(count)
	defer unix.Close(w.fd)
	r := w.server.responder(count)
	r.record.local = w.local
	for !w.stopped.Load() {
		w.answer(r, w.receive(false))
	}
	retire(w.fd)
	for end := time.Now().Add(drainTime); time.Now().Before(end); {
		n := w.receive(true)
		if n == 0 {
			return
		}
		w.answer(r, n)
	}
}

func (w *batchWorker) stop() { w.stopped.Store(true) }

func (w *batchWorker) close() { unix.Close(w.fd) }

// receive reads what has arrived; when nothing has, and the worker is not stopping, it sleeps for at most
// wakeInterval. It returns the number of packets.
func (w *batchWorker) receive(stopping bool) int {
	for i := range w.in.headers {
		h := &w.in.headers[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.Control = &w.in.controls[i][0]
		h.SetControllen(controlLen)
		w.in.vectors[i].SetLen(packetLen)
	}
	first := uintptr(unsafe.Pointer(&w.in.headers[0]))
	// A call that cannot sleep needs not tell the scheduler.
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, uintptr(w.fd), first, batchLen, unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN && !stopping {
		n, _, errno = syscall.Syscall6(unix.SYS_RECVMMSG, uintptr(w.fd), first, batchLen, unix.MSG_WAITFORONE, 0, 0)
	}
	switch errno {
	case 0:
		return int(n)
	case unix.EAGAIN, unix.EINTR:
	default:
		// Nothing the worker can mend; a pause keeps a broken socket from spinning.
		w.server.log.Error("receive queries", "error", errno)
		time.Sleep(wakeInterval)
	}
	return 0
}

// answer answers the n packets of the batch and sends the replies.
func (w *batchWorker) answer(r *Responder, n int) {
	replies := 0
	for i := range n {
		reply := w.reply(r, i, w.out.packets[replies][:0])
		if len(reply) == 0 {
			continue
		}
		w.out.vectors[replies].Base = &reply[0]
		w.out.vectors[replies].SetLen(len(reply))
		w.address(replies, i)
		replies++
	}
	w.send(replies)
}

// reply appends the reply to packet i. A packet that makes it panic gets none, and the others are answered.
func (w *batchWorker) reply(r *Responder, i int, dst []byte) (reply []byte) {
	defer func() {
		if reason := recover(); reason != nil {
			w.server.caught(reason)
			reply = nil
		}
	}()
	r.record.port = w.port(i)
	return r.Respond(dst, w.in.packets[i][:w.in.headers[i].length], w.source(i), w.limit)
}

// source is the address that packet i came from.
func (w *batchWorker) source(i int) netip.Addr {
	name := &w.in.names[i]
	if name.Family == unix.AF_INET {
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	}
	return netip.AddrFrom16(name.Addr).Unmap()
}

// port is the port that packet i came from.
func (w *batchWorker) port(i int) uint16 {
	// It is at the same place in the addresses of both families, in network order.
	return bits.ReverseBytes16(w.in.names[i].Port)
}

// address sends reply number reply to where packet number packet came from, from the address that it was sent to.
func (w *batchWorker) address(reply, packet int) {
	in, out := &w.in.headers[packet].hdr, &w.out.headers[reply].hdr
	w.out.names[reply] = w.in.names[packet]
	out.Namelen = in.Namelen
	out.Control, out.Controllen = nil, 0
	if in.Controllen == 0 {
		return
	}
	control := &w.out.controls[reply]
	*control = w.in.controls[packet]
	out.Control, out.Controllen = &control[0], in.Controllen
	// The route decides the interface, but a link-local address is nothing without it.
	header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	data := control[unix.CmsgLen(0):]
	switch {
	case header.Level == unix.IPPROTO_IP && header.Type == unix.IP_PKTINFO:
		binary.NativeEndian.PutUint32(data, 0)
	case header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_PKTINFO && !(data[0] == 0xfe && data[1]&0xc0 == 0x80):
		binary.NativeEndian.PutUint32(data[16:], 0)
	}
}

// send sends the first n replies; it sleeps only when the socket's send buffer is full. A reply that the kernel refuses is
// left out, its client will ask again.
func (w *batchWorker) send(n int) {
	for sent := 0; sent < n; {
		first := uintptr(unsafe.Pointer(&w.out.headers[sent]))
		done, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, uintptr(w.fd), first, uintptr(n-sent), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EAGAIN {
			done, _, errno = syscall.Syscall6(unix.SYS_SENDMMSG, uintptr(w.fd), first, uintptr(n-sent), 0, 0, 0)
		}
		switch errno {
		case 0:
			sent += int(done)
		case unix.EINTR:
		default:
			w.server.stats.unsent.Add(1)
			sent++
		}
	}
}
