package config

import (
	"encoding"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// enumeration is a string type that lists what a configuration may say.
type enumeration interface{ Values() []string }

// isScalar tells whether a field is set from a single TOML value.
func isScalar(into reflect.Value) bool {
	switch into.Interface().(type) {
	case netip.Addr, netip.AddrPort, netip.Prefix:
		return true
	}
	switch into.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	case reflect.Pointer:
		return into.Type().Elem().Kind() == reflect.Float64
	}
	_, ok := into.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

// decodeScalar sets a field from a TOML value. It returns what is wrong and what would be right, or "".
func decodeScalar(into reflect.Value, value any, f *field) string {
	if into.Kind() == reflect.Pointer {
		target := reflect.New(into.Type().Elem())
		complaint := decodeScalar(target.Elem(), value, f)
		if complaint == "" {
			into.Set(target)
		}
		return complaint
	}
	if into.Kind() == reflect.Float64 {
		return decodeNumber(into, value, f)
	}
	text, isText := value.(string)
	number, isNumber := value.(int64)
	_, isDuration := into.Interface().(time.Duration)
	_, hasText := into.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case isDuration && isNumber:
		return fmt.Sprintf("want a duration with its unit, such as \"%ds\", not the integer %d", max(number, 1), number)
	case into.Kind() == reflect.Int && isNumber:
		into.SetInt(number)
	case into.Kind() == reflect.Bool:
		yes, ok := value.(bool)
		if !ok {
			return "want true or false, not " + describe(value)
		}
		into.SetBool(yes)
	case isText && into.Kind() != reflect.Int:
		if f.required && text == "" {
			return "must not be empty"
		}
		if err := parseScalar(into, text); err != nil {
			return err.Error()
		}
	case hasText && isNumber && isFreeText(into):
		if err := parseScalar(into, strconv.FormatInt(number, 10)); err != nil {
			return err.Error()
		}
	default:
		return fmt.Sprintf("want %s, not %s", singular(into.Type()), describe(value))
	}
	return outOfRange(into, f.bounds)
}

// decodeNumber sets a float from a TOML float or integer. It returns what is wrong and what would be right, or "".
func decodeNumber(into reflect.Value, value any, f *field) string {
	switch number := value.(type) {
	case int64:
		into.SetFloat(float64(number))
	case float64:
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return fmt.Sprintf("want a finite number, not %v", number)
		}
		into.SetFloat(number)
	default:
		return fmt.Sprintf("want %s, not %s", singular(into.Type()), describe(value))
	}
	return outOfRange(into, f.bounds)
}

// isFreeText tells whether the form of a field's text is its own affair. The types of netip are known here.
func isFreeText(into reflect.Value) bool {
	return into.Type().PkgPath() != "net/netip"
}

// parseScalar sets a field of any scalar type but bool and int from text.
func parseScalar(into reflect.Value, text string) error {
	switch p := into.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%s is no duration: want a number with its unit, such as \"15s\", \"500ms\" or \"1h30m\"", quote(text))
		}
		*p = d
		return nil
	case *netip.Addr:
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("%s is no address: want one such as \"192.0.2.1\" or \"2001:db8::1\"", quote(text))
		}
		*p = addr
		return nil
	case *netip.AddrPort:
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			return fmt.Errorf("%s is no address with a port: want one such as \"192.0.2.1:53\" or \"[2001:db8::1]:53\"", quote(text))
		}
		*p = addr
		return nil
	case *netip.Prefix:
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%s is no prefix: want one such as \"192.0.2.0/24\" or \"2001:db8::/32\"", quote(text))
		}
		if prefix != prefix.Masked() {
			return fmt.Errorf("%s has bits set beyond its length: want %q", quote(text), prefix.Masked())
		}
		*p = prefix
		return nil
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	}
	if e, ok := into.Interface().(enumeration); ok {
		values := e.Values()
		if !slices.Contains(values, text) {
			return fmt.Errorf("%s is unknown: want %s%s", quote(text), enumerate(quoted(values), "or"), didYouMean(text, values))
		}
	}
	into.SetString(text)
	return nil
}

// didYouMean is the end of a message that suggests a candidate like word, or nothing.
func didYouMean(word string, candidates []string) string {
	if near := suggest(word, candidates); near != "" {
		return "; did you mean " + quote(near) + "?"
	}
	return ""
}

// outOfRange checks a field against its range tag. It returns what is wrong and what would be right, or "".
func outOfRange(into reflect.Value, bounds string) string {
	if bounds == "" {
		return ""
	}
	low, high, _ := strings.Cut(bounds, "..")
	least, most := reflect.New(into.Type()).Elem(), reflect.New(into.Type()).Elem()
	for _, bound := range []struct {
		into reflect.Value
		text string
	}{{least, low}, {most, high}} {
		if err := setDefault(bound.into, bound.text); err != nil {
			panic(fmt.Sprintf("config: range %s: %v", bounds, err))
		}
	}
	isInside := false
	if into.Kind() == reflect.Float64 {
		isInside = into.Float() >= least.Float() && into.Float() <= most.Float()
	} else {
		isInside = into.Int() >= least.Int() && into.Int() <= most.Int()
	}
	if isInside {
		return ""
	}
	return fmt.Sprintf("%v is out of range: want %s to %s", into.Interface(), low, high)
}

// setDefault sets a field from text as a user would write it without quotes, lists with commas.
func setDefault(into reflect.Value, text string) error {
	switch {
	case into.Kind() == reflect.Slice:
		for _, item := range strings.Split(text, ",") {
			value := reflect.New(into.Type().Elem()).Elem()
			if err := setDefault(value, item); err != nil {
				return err
			}
			into.Set(reflect.Append(into, value))
		}
		return nil
	case into.Kind() == reflect.Bool:
		yes, err := strconv.ParseBool(text)
		into.SetBool(yes)
		return err
	case into.Kind() == reflect.Int:
		n, err := strconv.Atoi(text)
		into.SetInt(int64(n))
		return err
	case into.Kind() == reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		into.SetFloat(n)
		return err
	}
	return parseScalar(into, text)
}

// describe names a TOML value in a message.
func describe(value any) string {
	switch value := value.(type) {
	case string:
		return "the string " + quote(value)
	case int64:
		return fmt.Sprintf("the integer %d", value)
	case float64:
		return fmt.Sprintf("the number %v", value)
	case bool:
		return fmt.Sprintf("the boolean %t", value)
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// singular names what a field of the type wants in a message.
func singular(t reflect.Type) string {
	value := reflect.New(t).Elem()
	if e, ok := value.Interface().(enumeration); ok {
		return enumerate(quoted(e.Values()), "or")
	}
	switch value.Interface().(type) {
	case time.Duration:
		return "a duration such as \"15s\""
	case netip.Addr:
		return "an address such as \"192.0.2.1\""
	case netip.AddrPort:
		return "an address with a port such as \"192.0.2.1:53\""
	case netip.Prefix:
		return "a prefix such as \"192.0.2.0/24\""
	}
	switch t.Kind() {
	case reflect.Int:
		return "an integer"
	case reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	}
	return "a string or an integer"
}

// plural names what a list of the type wants in a message.
func plural(t reflect.Type) string {
	if t.Kind() == reflect.Struct && !isScalar(reflect.New(t).Elem()) {
		return "tables"
	}
	switch reflect.New(t).Elem().Interface().(type) {
	case netip.Addr:
		return "addresses"
	case netip.AddrPort:
		return "addresses with ports"
	case netip.Prefix:
		return "prefixes"
	}
	if t.Kind() == reflect.Int {
		return "integers"
	}
	return "strings"
}

// wanted is the end of a message about a missing key: what it could be, where that is a matter of few words.
func wanted(into reflect.Value) string {
	if e, ok := into.Interface().(enumeration); ok {
		return ": want " + enumerate(quoted(e.Values()), "or")
	}
	return ""
}
