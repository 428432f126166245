package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is believed of a response: its octets, and how long it may ask to wait.
const (
	maxResponse  = 64 << 10
	maxRetryWait = 24 * time.Hour
)

// httpSender sends requests: no proxy from the environment, no redirect followed, certificates verified, a new connection for
// each. A request takes the timeout of the method at most, from the first packet to the last octet of the response. Errors
// have no secret.
type httpSender struct {
	client *http.Client
	keys   *keyring
}

func newHTTPSender(keys *keyring) *httpSender {
	transport := &http.Transport{
		TLSClientConfig:        keys.trust,
		DialContext:            (&net.Dialer{}).DialContext,
		DisableKeepAlives:      true, // Alerts are rare, and a connection that has died meanwhile costs a retry.
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponse,
	}
	return &httpSender{keys: keys, client: &http.Client{
		Transport: transport, Timeout: keys.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// httpRequest is one HTTP request.
type httpRequest struct {
	method, url       string
	contentType, body string
	headers           map[string]string
	username          string // with the password of the keyring
	isBearer          bool   // with the token of the keyring
}

// send sends a request and returns the body of the response, which has a status of 200 to 299 when there is no error.
func (s *httpSender) send(ctx context.Context, r httpRequest) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return nil, &PermanentError{s.keys.error(fmt.Errorf("make a request: %w", withoutURL(err)))}
	}
	req.Header.Set("User-Agent", "gtmd")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	for name, value := range r.headers {
		req.Header.Set(name, value)
	}
	if r.username != "" {
		req.SetBasicAuth(r.username, s.keys.password)
	}
	if r.isBearer {
		req.Header.Set("Authorization", "Bearer "+s.keys.token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, s.keys.error(fmt.Errorf("%s to %s: %w", r.method, req.URL.Host, withoutURL(err)))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		if err != nil {
			return nil, s.keys.error(fmt.Errorf("%s to %s: the response breaks off: %w", r.method, req.URL.Host, withoutURL(err)))
		}
		return body, nil
	}
	return nil, s.refused(r.method, req.URL.Host, resp, body)
}

// refused is the error of a response whose status says no.
func (s *httpSender) refused(method, host string, resp *http.Response, body []byte) error {
	text := fmt.Sprintf("%s to %s: %s", method, host, resp.Status)
	if said := s.keys.excerpt(body); said != "" {
		text += ": " + said
	}
	if to, err := resp.Location(); err == nil && resp.StatusCode < 400 {
		text += fmt.Sprintf("; it leads to %s, where nothing is sent: want the URL that takes alerts itself", to.Host)
	}
	err := s.keys.error(errors.New(text))
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		// It is this message that it does not want. All else can be mended: a key, an address, a server.
		return &PermanentError{err}
	}
	if after := retryAfter(resp.Header.Get("Retry-After"), time.Now()); after > 0 {
		return &RetryError{Err: err, After: after}
	}
	return err
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3). 0: there is none that makes sense.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	after := time.Duration(0)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		after = at.Sub(now)
	}
	return max(0, min(after, maxRetryWait))
}

// withoutURL is an error of net/http without the URL, which may be a secret.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		if of.Timeout() {
			return fmt.Errorf("no response in time: %w", of.Err)
		}
		return of.Err
	}
	return err
}
