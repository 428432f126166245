package alert

import (
	"errors"
	"fmt"
	"log/slog"
)

// NewSender makes what delivers by a method. It reads the files that the options name, so a secret that changes counts from
// the next reload on. What is worth a line but no failure goes to log. The error tells every option that is wrong, and no
// secret.
func NewSender(o MethodOptions, log *slog.Logger) (Sender, error) {
	var wrong []error
	sender := newSender(&o, log, func(key, message string) { wrong = append(wrong, fmt.Errorf("%s: %s", key, message)) })
	if len(wrong) > 0 {
		return nil, fmt.Errorf("alert method %s: %w", o.Label(), errors.Join(wrong...))
	}
	return sender, nil
}

// Check calls problem for everything that is wrong with the files that the options name, with the TOML key that is at fault.
// Their paths lead there from the working directory, and [MethodOptions.Validate] has found nothing.
func (o *MethodOptions) Check(problem func(key, message string)) {
	newSender(o, slog.New(slog.DiscardHandler), problem)
}

// newSender makes a sender, which is good only when problem has not been called.
func newSender(o *MethodOptions, log *slog.Logger, problem func(key, message string)) Sender {
	k := newKeyring(o, problem)
	words := o.wording()
	switch o.Kind {
	case Email:
		return newMailer(o, k, words)
	case Webhook:
		return newWebhook(o, k, words, problem)
	case DingTalk:
		return newDingTalk(o, k, words)
	case Feishu:
		return newFeishu(k, words)
	case WeCom:
		return newWeCom(k, words)
	case Slack:
		return newSlack(k, words)
	case Alertmanager:
		return newAlertmanager(o, k, log)
	case SMS:
		return newSMS(o, k, words, problem)
	}
	problem("kind", fmt.Sprintf("%q is no method", o.Kind))
	return nil
}
