package alert

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// dingTalk sends markdown to a robot of a DingTalk group.
type dingTalk struct {
	robot
	mobiles []string
}

// dingTalkText is how much text a message has, in octets: DingTalk takes 20,000 with all that is around it, and escapes can
// double a text.
const dingTalkText = 8 << 10

func newDingTalk(o *MethodOptions, keys *keyring, words *wording) *dingTalk {
	return &dingTalk{robot: newRobot(keys, words), mobiles: o.AtMobiles}
}

// Send posts one message. DingTalk says no with status 200 and an errcode.
func (d *dingTalk) Send(ctx context.Context, m *Message) error {
	title, text := d.words.words(m, tameForDingTalk)
	text = "### " + title + "  \n" + text
	at := map[string]any{"isAtAll": false}
	if len(d.mobiles) > 0 {
		at["atMobiles"] = d.mobiles
		text = shorten(text, dingTalkText) + "  \n@" + strings.Join(d.mobiles, " @") // Only who is named in the text is called.
	}
	body, err := d.post(ctx, d.signed(time.Now()), map[string]any{
		"msgtype":  "markdown",
		"markdown": map[string]string{"title": shorten(title, 200), "text": shorten(text, dingTalkText+1024)},
		"at":       at,
	})
	if err != nil {
		return err
	}
	return d.judge(codes{code: "errcode", text: "errmsg", tooFast: []int{130101, 410100}, permanent: []int{40035}}, body)
}

// signed is the URL with the time and the signature, if the robot has a secret.
func (d *dingTalk) signed(now time.Time) string {
	if len(d.keys.secrets) == 0 {
		return d.keys.url
	}
	timestamp := strconv.FormatInt(now.UnixMilli(), 10)
	u, err := url.Parse(d.keys.url)
	if err != nil { // It was good when it was read.
		return d.keys.url
	}
	query := u.Query()
	query.Set("timestamp", timestamp)
	query.Set("sign", dingTalkSignature(d.keys.secrets[0], timestamp))
	u.RawQuery = query.Encode()
	return u.String()
}

// dingTalkSignature signs a time in milliseconds: the secret is the key, and the time and the secret what is signed.
func dingTalkSignature(secret, timestamp string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "\n" + secret))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// tameForDingTalk is tameMarkdown, with line breaks that DingTalk shows as such.
func tameForDingTalk(text string) string { return strings.ReplaceAll(tameMarkdown(text), "\n", "  \n") }
