package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

func newToken() *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Make tokens for the API over TCP and the login of the dashboard",
		Long: `Make tokens for the API over TCP and for the login of the dashboard. The file that [admin] names as
token_file has a line for each, with a hash in place of the token; gtmd reads it again on a reload.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTokenCreate(), newTokenList(), newTokenVerify())
	return c
}

// createdToken is what "token create --json" prints.
type createdToken struct {
	Name  string `json:"name"`
	Role  string `json:"role"`
	Token string `json:"token"`
	Line  string `json:"line"`
}

func newTokenCreate() *cobra.Command {
	var role string
	var asJSON bool
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Print a new token, once, and the line for the token file",
		Args:  arguments(1, "the name of who will use it"),
		RunE: func(c *cobra.Command, args []string) error {
			granted, ok := admin.ParseRole(role)
			if !ok {
				return &exitError{exitUsage, fmt.Errorf("--role %q: want read or operate", role)}
			}
			if err := admin.CheckTokenName(args[0]); err != nil {
				return &exitError{exitUsage, err}
			}
			token := admin.NewToken()
			line := admin.TokenLine(granted, args[0], token)
			if asJSON {
				return printJSON(c.OutOrStdout(), createdToken{args[0], granted.String(), token, line})
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "Token, shown this once:  %s\nLine for the token file: %s\n", token, line)
			return err
		},
	}
	c.Flags().StringVar(&role, "role", "read", "what it allows: read, or operate, which may change things too")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// listedToken is one of what "token list --json" prints, and what "token verify --json" does.
type listedToken struct {
	Name string `json:"name"`
	Role string `json:"role"`
	Hash string `json:"hash"`
}

func listed(t admin.Token) listedToken {
	return listedToken{t.Name, t.Role.String(), fmt.Sprintf("sha256:%x", t.Hash)}
}

func newTokenList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list FILE",
		Short: "Show whose tokens a token file has, and what they allow",
		Args:  arguments(1, "a token file"),
		RunE: func(c *cobra.Command, args []string) error {
			tokens, err := readTokens(c, args[0])
			if err != nil {
				return err
			}
			all := make([]listedToken, len(tokens.Tokens))
			for i, t := range tokens.Tokens {
				all[i] = listed(t)
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), all)
			}
			table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tROLE")
			for _, t := range all {
				fmt.Fprintf(table, "%s\t%s\n", t.Name, t.Role)
			}
			return table.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newTokenVerify() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Read a token from standard input, and say whose it is by a token file",
		Args:  arguments(1, "a token file"),
		RunE: func(c *cobra.Command, args []string) error {
			tokens, err := readTokens(c, args[0])
			if err != nil {
				return err
			}
			text, err := io.ReadAll(io.LimitReader(c.InOrStdin(), 64<<10))
			if err != nil {
				return fmt.Errorf("read the token: %w", err)
			}
			token, ok := tokens.Find(strings.TrimSpace(string(text)))
			if !ok {
				return errors.New("it is none of " + args[0])
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), listed(token))
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s, role %s\n", token.Name, token.Role)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// readTokens reads a token file and tells what is unwise about it.
func readTokens(c *cobra.Command, file string) (admin.Tokens, error) {
	tokens, err := admin.ReadTokens(file)
	if err != nil {
		return tokens, err
	}
	warnings := tokens.Warnings
	if tokens.Exposed != "" {
		warnings = append(warnings, tokens.Exposed)
	}
	for _, w := range warnings {
		fmt.Fprintln(c.ErrOrStderr(), "warning: "+w)
	}
	return tokens, nil
}
