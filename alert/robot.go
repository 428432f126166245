package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// robot sends to a chat by the URL of one of its robots, which is a secret.
type robot struct {
	http  *httpSender
	keys  *keyring
	words *wording
}

func newRobot(keys *keyring, words *wording) robot {
	return robot{http: newHTTPSender(keys), keys: keys, words: words}
}

// To is the host: the rest of the URL is secret.
func (r *robot) To() string { return hostOf(r.keys.url) }

// hostOf is the host of a URL, with its port if it names one.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

// post posts JSON to a URL.
func (r *robot) post(ctx context.Context, url string, value any) ([]byte, error) {
	body, err := marshal(value)
	if err != nil {
		return nil, &PermanentError{fmt.Errorf("write JSON: %w", err)}
	}
	return r.http.send(ctx, httpRequest{method: "POST", url: url, contentType: "application/json; charset=utf-8", body: string(body)})
}

// codes are the numbers with which a chat says no in a response with status 200.
type codes struct {
	code, text string // the keys of the number and of what it says
	tooFast    []int  // there have been too many messages
	permanent  []int  // this message cannot be taken
}

// robotWait is how long a robot that was too fast stays silent: chats count by the minute.
const robotWait = time.Minute

// judge reads a response with status 200. It is good only when it has the number 0.
func (r *robot) judge(c codes, body []byte) error {
	var response map[string]json.RawMessage
	number, text := -1, ""
	if json.Unmarshal(body, &response) != nil || json.Unmarshal(response[c.code], &number) != nil {
		return r.keys.error(fmt.Errorf("%s answers without the %s that says that the message was taken: %s", r.To(), c.code, r.keys.excerpt(body)))
	}
	if number == 0 {
		return nil
	}
	if json.Unmarshal(response[c.text], &text) != nil {
		text = string(response[c.text])
	}
	err := r.keys.error(errors.New(fmt.Sprintf("%s refuses the message: %s %d: ", r.To(), c.code, number) + r.keys.excerpt([]byte(text))))
	switch {
	case slices.Contains(c.permanent, number):
		return &PermanentError{err}
	case slices.Contains(c.tooFast, number):
		return &RetryError{Err: err, After: robotWait}
	}
	return err
}
