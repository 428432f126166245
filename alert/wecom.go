package alert

import "context"

// weCom sends markdown to a robot of a WeCom group.
type weCom struct{ robot }

// weComText is what WeCom takes of text, in octets of UTF-8.
const weComText = 4096

func newWeCom(keys *keyring, words *wording) *weCom { return &weCom{newRobot(keys, words)} }

// Send posts one message. WeCom says no with status 200 and an errcode.
func (w *weCom) Send(ctx context.Context, m *Message) error {
	title, text := w.words.words(m, tameMarkdown)
	colour := map[state]string{stateFiring: "warning", stateReminder: "warning", stateResolved: "info", stateNotice: "comment", stateTest: "comment"}[m.state()]
	head := `<font color="` + colour + `">` + shorten(title, 600) + "</font>\n"
	body, err := w.post(ctx, w.keys.url, map[string]any{
		"msgtype":  "markdown",
		"markdown": map[string]string{"content": head + shorten(text, weComText-len(head))},
	})
	if err != nil {
		return err
	}
	return w.judge(codes{code: "errcode", text: "errmsg", tooFast: []int{45009, 45033}, permanent: []int{40008, 40058, 44004, 45002}}, body)
}
