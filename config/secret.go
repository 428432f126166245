package config

import (
	"regexp"
	"strings"
)

// masked stands in place of what nobody shall read.
const masked = `"***"`

// isSecretKey reports whether the value of a key is a secret: secrets are in files of their own, but a key may have one all the same.
func isSecretKey(key string) bool {
	key = strings.ToLower(key)
	for _, end := range []string{"secret", "password", "token", "authorization", "cookie", "api-key", "api_key"} {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}

// secretValue is a key of a secret with its value, in TOML; secretParameter is one in a URL, and secretUser a user with a password there.
var (
	secretValue = regexp.MustCompile(`(?im)((?:^|[\s{,#."'])[\w-]*(?:secret|password|token|authorization|cookie|api[-_]key)["']?[ \t]*=[ \t]*)` +
		`(?:"""(?s:.*?)"""|'''(?s:.*?)'''|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|\[[^\]]*\]?|[^\s,}#]+)`)
	secretUser      = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/"'@:?#]*:)[^\s/"'@?#]+@`)
	secretParameter = regexp.MustCompile(`(?i)([?&][\w-]*(?:secret|password|token|key|sign)=)[^&"'\s]+`)
)

// Mask returns a text of TOML without the values of keys that end in secret, password or token, and the like, and without such
// parameters of URLs and the passwords of users there. Its lines stay where they are.
func Mask(text string) string {
	var b strings.Builder
	words := findSecretWords(text)
	done := 0
	for {
		// The expressions are slow, so they see only what has one of the words, or of the signs of a URL.
		word := words.from(done)
		if word < 0 {
			break
		}
		line := max(strings.LastIndexByte(text[:word], '\n')+1, done)
		found := secretValue.FindStringSubmatchIndex(text[line:])
		if found == nil {
			break
		}
		key, end := line+found[3], line+found[1]
		b.WriteString(text[done:key])
		b.WriteString(masked)
		b.WriteString(strings.Repeat("\n", strings.Count(text[key:end], "\n")))
		done = end
	}
	b.WriteString(text[done:])
	lines := strings.SplitAfter(b.String(), "\n")
	for i, line := range lines {
		if strings.Contains(line, "://") {
			line = secretUser.ReplaceAllString(line, "${1}***@")
		}
		if strings.ContainsAny(line, "?&") {
			line = secretParameter.ReplaceAllString(line, "${1}***")
		}
		lines[i] = line
	}
	return strings.Join(lines, "")
}

// secretWords are the places in a text of words that end the name of a secret, whatever the case.
type secretWords struct {
	lower string
	next  map[string]int // by word; len(lower): there is no further one
}

func findSecretWords(text string) *secretWords {
	lower := []byte(text)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return &secretWords{string(lower), map[string]int{"secret": -1, "password": -1, "token": -1, "authorization": -1, "cookie": -1, "api-key": -1, "api_key": -1}}
}

// from is the first place from one on, which is not before that of the last call; -1: there is none.
func (s *secretWords) from(at int) int {
	first := len(s.lower)
	for word, next := range s.next {
		if next < at {
			if next = strings.Index(s.lower[at:], word); next < 0 {
				next = len(s.lower)
			} else {
				next += at
			}
			s.next[word] = next
		}
		first = min(first, next)
	}
	if first == len(s.lower) {
		return -1
	}
	return first
}
