package alert

import (
	"context"
	"fmt"
	"strings"
)

// slack sends to an incoming webhook of Slack, or of what speaks like it.
type slack struct{ robot }

// slackText is how much text a message has, in octets: Slack advises 4,000 characters.
const slackText = 4000

func newSlack(keys *keyring, words *wording) *slack { return &slack{newRobot(keys, words)} }

// Send posts one message. What is good for Slack has the body "ok".
func (s *slack) Send(ctx context.Context, m *Message) error {
	title, text := s.words.words(m, tameForSlack)
	title, text = shorten(title, 600), shorten(text, slackText)
	colour := map[state]string{stateFiring: "danger", stateReminder: "danger", stateResolved: "good", stateNotice: "#439fe0", stateTest: "#439fe0"}[m.state()]
	body, err := s.post(ctx, s.keys.url, map[string]any{
		"text":         title,
		"unfurl_links": false,
		"unfurl_media": false,
		"attachments":  []any{map[string]any{"color": colour, "fallback": title, "text": text}},
	})
	if err != nil {
		return err
	}
	if said := strings.TrimSpace(string(body)); said != "ok" && said != "" && said != `{"ok":true}` {
		return s.keys.error(fmt.Errorf("%s does not say \"ok\": %s", s.To(), s.keys.excerpt(body)))
	}
	return nil
}
