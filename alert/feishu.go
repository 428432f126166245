package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// feishu sends a card of plain text to a robot of a Feishu (Lark) group.
type feishu struct{ robot }

// feishuText is how much text a card has, in octets: Feishu takes 20 KB with all that is around it, and escapes can double a
// text.
const feishuText = 8 << 10

func newFeishu(keys *keyring, words *wording) *feishu { return &feishu{newRobot(keys, words)} }

// Send posts one card. Feishu says no with status 200 and a code.
func (f *feishu) Send(ctx context.Context, m *Message) error {
	title, text := f.words.words(m, tame)
	colour := map[state]string{stateFiring: "red", stateReminder: "red", stateResolved: "green", stateNotice: "blue", stateTest: "grey"}[m.state()]
	plain := func(text string) map[string]string { return map[string]string{"tag": "plain_text", "content": text} }
	message := map[string]any{
		"msg_type": "interactive",
		"card": map[string]any{
			"header":   map[string]any{"title": plain(shorten(title, 200)), "template": colour},
			"elements": []any{map[string]any{"tag": "div", "text": plain(shorten(text, feishuText))}},
		},
	}
	if len(f.keys.secrets) > 0 {
		timestamp := strconv.FormatInt(time.Now().Unix(), 10)
		message["timestamp"], message["sign"] = timestamp, feishuSignature(f.keys.secrets[0], timestamp)
	}
	body, err := f.post(ctx, f.keys.url, message)
	if err != nil {
		return err
	}
	return f.judge(codes{code: "code", text: "msg", tooFast: []int{11232, 11233}, permanent: []int{19001}}, body)
}

// feishuSignature signs a time in seconds: the time and the secret are the key, and nothing is what is signed.
func feishuSignature(secret, timestamp string) string {
	mac := hmac.New(sha256.New, []byte(timestamp+"\n"+secret))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
