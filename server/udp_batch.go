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
	held    bool // whether another process keeps the socket open for the one after this
	stopped atomic.Bool
	left    atomic.Bool  // stopped, and somebody else reads the socket
	thread  atomic.Int32 // the ID of the thread that runs it; 0: none
	in, out batch
	// Of the batch at hand: how many packets it has, the one that is being answered, and how many replies there are.
	received, at, replies int
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
	return s.newBatchWorker(fd, bound, options), bound, nil
}

// newBatchWorker is a worker for a socket, which it owns.
func (s *Server) newBatchWorker(fd int, local netip.AddrPort, options Options) *batchWorker {
	w := &batchWorker{server: s, fd: fd, limit: options.MaxUDPPayload, local: local, received: batchLen}
	w.in.init(packetLen)
	w.out.init(options.MaxUDPPayload)
	return w
}

// init gives every message its memory, of size octets.
func (b *batch) init(size int) {
	memory := make([]byte, batchLen*size)
	for i := range b.headers {
		b.packets[i] = memory[i*size : (i+1)*size : (i+1)*size]
		b.vectors[i].Base = &b.packets[i][0]
		b.vectors[i].SetLen(size)
		h := &b.headers[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Control = &b.controls[i][0]
	}
}

// run answers until stop, and then what the socket still holds.
func (w *batchWorker) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	count := w.server.stats.join(true)
	defer w.server.stats.leave(count)
	defer func() {
		if !w.left.Load() {
			unix.Close(w.fd)
		}
	}()
	w.thread.Store(int32(unix.Gettid()))
	defer w.thread.Store(0)
	r := w.server.responder(count)
	r.record.local = w.local
	yielded := time.Now()
	for i := 0; !w.stopped.Load(); i++ {
		w.receive(unix.MSG_WAITFORONE)
		w.answer(r)
		if i%yieldCheck == 0 && time.Since(yielded) >= yieldInterval {
			runtime.Gosched()
			yielded = time.Now()
		}
	}
	if w.held || w.left.Load() {
		return // what is in the socket is for the next process
	}
	retire(w.fd)
	for end := time.Now().Add(emptyTime); time.Now().Before(end); {
		if w.receive(unix.MSG_DONTWAIT); w.received == 0 {
			return
		}
		w.answer(r)
	}
}

// A worker takes a turn of the scheduler every yieldInterval, when it is busy: it looks at the clock every yieldCheck batches. One
// that took none for 10 ms would count as a hog. The runtime then takes its processor away at every system call and watches
// it every 20 µs (runtime.retake, Go 1.26), which costs 7 % of what a query costs.
const (
	yieldInterval = 5 * time.Millisecond
	yieldCheck    = 8
)

func (w *batchWorker) stop() {
	// A call that is asleep begins anew after a signal, and then has this timeout. It comes before stopped, after which run may
	// close the socket.
	setReceiveTimeout(w.fd, time.Millisecond)
	w.stopped.Store(true)
	// The runtime has SIGURG for its own use, which is harmless at any time.
	if thread := w.thread.Load(); thread != 0 {
		unix.Tgkill(unix.Getpid(), int(thread), unix.SIGURG)
	}
}

func (w *batchWorker) close() { unix.Close(w.fd) }

// receive reads a batch of what has arrived. When nothing has, it sleeps, with the flag MSG_DONTWAIT it does not.
func (w *batchWorker) receive(flags uintptr) {
	for i := range w.received { // what the kernel wrote to, at first all
		h := &w.in.headers[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlLen)
	}
	w.received = 0
	first := uintptr(unsafe.Pointer(&w.in.headers[0]))
	n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, uintptr(w.fd), first, batchLen, flags, 0, 0)
	switch errno {
	case 0:
		w.received = int(n)
	case unix.EAGAIN, unix.EINTR:
	default:
		// Nothing the worker can mend; a pause keeps a broken socket from spinning.
		w.server.log.Error("receive queries", "error", errno)
		time.Sleep(errorPause)
	}
}

// answer answers the packets of the batch and sends the replies.
func (w *batchWorker) answer(r *Responder) {
	w.at, w.replies = 0, 0
	for w.at < w.received {
		w.reply(r)
	}
	w.send(w.replies)
}

// reply makes the replies to the packets of the batch from the current one on. It ends early, behind it, when a packet makes it
// panic; that gets no reply.
func (w *batchWorker) reply(r *Responder) {
	defer func() {
		if reason := recover(); reason != nil {
			w.server.caught(reason, w.packet())
			w.at++
		}
	}()
	for ; w.at < w.received; w.at++ {
		r.record.port = w.port(w.at)
		reply := r.Respond(w.out.packets[w.replies][:0], w.packet(), w.source(w.at), w.limit)
		if len(reply) == 0 {
			continue
		}
		w.out.vectors[w.replies].Base = &reply[0]
		w.out.vectors[w.replies].SetLen(len(reply))
		w.address(w.replies, w.at)
		w.replies++
	}
}

// packet is the current one.
func (w *batchWorker) packet() []byte { return w.in.packets[w.at][:w.in.headers[w.at].length] }

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
	out.Name, out.Namelen = in.Name, in.Namelen
	if out.Controllen = in.Controllen; in.Controllen == 0 {
		return
	}
	control := &w.in.controls[packet]
	out.Control = &control[0]
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
		call, flags := w.sending(sent, n), uintptr(unix.MSG_DONTWAIT)
		done, _, errno := syscall.RawSyscall6(call.number, uintptr(w.fd), call.first, call.count, flags, call.name, call.nameLen)
		if errno == unix.EAGAIN {
			done, _, errno = syscall.Syscall6(call.number, uintptr(w.fd), call.first, call.count, 0, call.name, call.nameLen)
		}
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			w.server.stats.unsent.Add(1)
			sent++
		case call.number == unix.SYS_SENDTO:
			sent++
		default:
			sent += int(done)
		}
	}
}

// sendCall is a system call that sends, and its arguments but for the socket and the flags.
type sendCall struct{ number, first, count, name, nameLen uintptr }

// sending sends the replies from the first of n on. A reply alone has the cheaper call, which has no control messages.
func (w *batchWorker) sending(first, n int) sendCall {
	h := &w.out.headers[first].hdr
	if first+1 < n || h.Controllen > 0 {
		return sendCall{number: unix.SYS_SENDMMSG, first: uintptr(unsafe.Pointer(h)), count: uintptr(n - first)}
	}
	v := &w.out.vectors[first]
	return sendCall{unix.SYS_SENDTO, uintptr(unsafe.Pointer(v.Base)), uintptr(v.Len), uintptr(unsafe.Pointer(h.Name)), uintptr(h.Namelen)}
}
