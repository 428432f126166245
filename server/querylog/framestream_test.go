package querylog

import (
	"bytes"
	"slices"
	"testing"

	framestream "github.com/farsightsec/golang-framestream"
)

func TestControl(t *testing.T) {
	theirs := func(kind uint32, types ...string) []byte {
		f := framestream.ControlFrame{ControlType: kind}
		for _, name := range types {
			f.ContentTypes = append(f.ContentTypes, []byte(name))
		}
		var b bytes.Buffer
		if err := f.Encode(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, test := range []struct{ got, want []byte }{
		{appendControl(nil, controlReady, contentType), theirs(framestream.CONTROL_READY, contentType)},
		{appendControl(nil, controlStart, contentType), theirs(framestream.CONTROL_START, contentType)},
		{appendControl(nil, controlStop, ""), theirs(framestream.CONTROL_STOP)},
	} {
		if !bytes.Equal(test.got, test.want) {
			t.Errorf("%x, want %x", test.got, test.want)
		}
	}
	for _, test := range []struct {
		frame []byte
		want  string // the error
	}{
		{theirs(framestream.CONTROL_ACCEPT, "other", contentType), ""},
		{theirs(framestream.CONTROL_ACCEPT), ""},
		{theirs(framestream.CONTROL_FINISH), "read a control frame: it has type 5, want 1"},
		{[]byte("HTTP/1.1 400"), "read a control frame: it begins with 0x48545450, want 0"},
		{[]byte{0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 1}, "read a control frame: it has 513 octets, want 4 to 512"},
		{[]byte{0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1}, "read a control frame: it has 3 octets, want 4 to 512"},
		{[]byte{0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 7}, "read a control frame: 1 octets behind its fields"},
		{[]byte{0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255}, "read a control frame: field of type 1 with 4294967295 octets of 0"},
		{[]byte{0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1}, "read a control frame: EOF"},
		{nil, "read a control frame: EOF"},
	} {
		text := ""
		if _, err := readControl(bytes.NewReader(test.frame), controlAccept); err != nil {
			text = err.Error()
		}
		if text != test.want {
			t.Errorf("%x: %q, want %q", test.frame, text, test.want)
		}
	}
}

// FuzzControl holds our reader of what a collector sends against the reference one in Go: what that takes, ours takes alike,
// and ours reads no octet more than the frame has.
func FuzzControl(f *testing.F) {
	f.Add(appendControl(nil, controlAccept, contentType))
	f.Add(append(appendControl(nil, controlAccept, ""), "data"...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		from := bytes.NewReader(sent)
		types, err := readControl(from, controlAccept)
		var theirs framestream.ControlFrame
		reference := bytes.NewReader(sent)
		if theirs.DecodeTypeEscape(reference, framestream.CONTROL_ACCEPT) != nil {
			if read := len(sent) - from.Len(); read > 8+maxControl {
				t.Errorf("%d octets read", read)
			}
			return
		}
		if err != nil || from.Len() != reference.Len() || !slices.EqualFunc(types, theirs.ContentTypes, bytes.Equal) {
			t.Errorf("%x: types %q, error %v, %d octets left; want %q, %d left", sent, types, err, from.Len(), theirs.ContentTypes, reference.Len())
		}
	})
}
