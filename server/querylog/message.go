package querylog

import (
	"encoding/binary"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of dnstap.proto (github.com/dnstap/dnstap.pb) that are used here.
const (
	dnstapIdentity = 1
	dnstapVersion  = 2
	dnstapExtra    = 3
	dnstapMessage  = 14
	dnstapType     = 15 // MESSAGE is its only value

	messageType            = 1
	messageFamily          = 2
	messageProtocol        = 3
	messageQueryAddress    = 4
	messageResponseAddress = 5
	messageQueryPort       = 6
	messageResponsePort    = 7
	messageQuerySec        = 8
	messageQueryNsec       = 9
	messageQuery           = 10
	messageResponseSec     = 12
	messageResponseNsec    = 13
	messageResponse        = 14

	typeMessage      = 1
	typeAuthQuery    = 1
	typeAuthResponse = 2
	familyINET       = 1
	familyINET6      = 2
)

// messageWriter makes the frames of entries. Not safe for concurrent use.
type messageWriter struct {
	prefix            []byte // the fields that every frame begins with
	queries, replies  bool
	message, envelope []byte // scratch
}

func newMessageWriter(o DnstapOptions) messageWriter {
	w := messageWriter{queries: o.Messages != ResponseMessages, replies: o.Messages != QueryMessages}
	w.prefix = appendVarint(w.prefix, dnstapType, typeMessage)
	if o.Identity != "" {
		w.prefix = appendBytes(w.prefix, dnstapIdentity, []byte(o.Identity))
	}
	if o.Version != "" {
		w.prefix = appendBytes(w.prefix, dnstapVersion, []byte(o.Version))
	}
	return w
}

// appendFrames appends the data frames of an entry. Messages that were too large to be kept are left out of their frames.
func (w *messageWriter) appendFrames(dst []byte, s *slot) []byte {
	if w.queries {
		w.begin(s, typeAuthQuery, messageQuerySec, messageQueryNsec)
		if s.query != nil {
			w.message = appendBytes(w.message, messageQuery, s.query)
		}
		dst = w.end(dst, nil)
	}
	if w.replies {
		w.begin(s, typeAuthResponse, messageResponseSec, messageResponseNsec)
		if !s.isCut() {
			w.message = appendBytes(w.message, messageResponse, s.reply)
		}
		var extra []byte
		if o := originOf(s); o != nil {
			extra, _ = json.Marshal(o) // strings: it cannot fail
		}
		dst = w.end(dst, extra)
	}
	return dst
}

// begin makes a message with everything but the DNS message.
func (w *messageWriter) begin(s *slot, kind uint64, sec, nsec protowire.Number) {
	m := appendVarint(w.message[:0], messageType, kind)
	family := uint64(familyINET)
	if s.client.Addr().Is6() {
		family = familyINET6
	}
	m = appendVarint(m, messageFamily, family)
	m = appendVarint(m, messageProtocol, uint64(s.transport)+1)
	m = appendBytes(m, messageQueryAddress, s.client.Addr().AsSlice())
	if port := s.client.Port(); port != 0 {
		m = appendVarint(m, messageQueryPort, uint64(port))
	}
	if isKnown(s.server) {
		m = appendBytes(m, messageResponseAddress, s.server.Addr().AsSlice())
	}
	if port := s.server.Port(); port != 0 {
		m = appendVarint(m, messageResponsePort, uint64(port))
	}
	m = appendVarint(m, sec, uint64(s.at.Unix()))
	m = protowire.AppendTag(m, nsec, protowire.Fixed32Type)
	w.message = protowire.AppendFixed32(m, uint32(s.at.Nanosecond()))
}

// end appends the frame of the message.
func (w *messageWriter) end(dst, extra []byte) []byte {
	w.envelope = append(w.envelope[:0], w.prefix...)
	if extra != nil {
		w.envelope = appendBytes(w.envelope, dnstapExtra, extra)
	}
	w.envelope = appendBytes(w.envelope, dnstapMessage, w.message)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(w.envelope)))
	return append(dst, w.envelope...)
}

func appendVarint(dst []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), value)
}

func appendBytes(dst []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), value)
}
