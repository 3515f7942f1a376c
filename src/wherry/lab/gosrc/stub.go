// Stub takes the bodies out of a module's functions, so that a build without what they do can be weighed.
//
// It reads {"Files": [...], "Names": {import path: package name}, "Assembled": [...]} from standard input, writes a file for each into the
// folder it is given, and prints the overlay for `go build -overlay`.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

type asked struct {
	Files     []string
	Names     map[string]string
	Assembled []string // files of packages with assembly: there a function without a body has it elsewhere
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder string) error {
	var a asked
	if err := json.NewDecoder(os.Stdin).Decode(&a); err != nil {
		return err
	}
	replace, assembled := map[string]string{}, map[string]bool{}
	for _, file := range a.Assembled {
		assembled[file] = true
	}
	for number, file := range a.Files {
		text, err := stub(file, a.Names, assembled[file])
		if err != nil {
			return err
		}
		place := filepath.Join(folder, strconv.Itoa(number)+".go")
		if err := os.WriteFile(place, text, 0o600); err != nil {
			return err
		}
		replace[file] = place
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"Replace": replace})
}

func stub(path string, names map[string]string, assembled bool) ([]byte, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	head := constraints(file)
	file.Comments = nil
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			n.Doc = nil
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.ImportSpec:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	for _, declaration := range file.Decls {
		empty(declaration, assembled)
	}
	leaveOut(file, names)
	var text bytes.Buffer
	text.WriteString(head)
	if err := format.Node(&text, set, file); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// constraints keeps what decides whether the file counts.
func constraints(file *ast.File) string {
	var head strings.Builder
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if comment.Pos() < file.Package && constraint.IsGoBuild(comment.Text) {
				head.WriteString(comment.Text + "\n\n")
			}
		}
	}
	return head.String()
}

func empty(declaration ast.Decl, assembled bool) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Body == nil && assembled {
			return
		}
		d.Body = &ast.BlockStmt{}
		if d.Type.Results != nil {
			d.Body.List = []ast.Stmt{&ast.ExprStmt{X: &ast.CallExpr{Fun: ast.NewIdent("panic"), Args: []ast.Expr{&ast.BasicLit{Kind: token.STRING, Value: `"left out"`}}}}}
		}
	case *ast.GenDecl:
		if d.Tok != token.VAR {
			return
		}
		for _, spec := range d.Specs {
			// A value whose type is written beside it can go; of another one the type would be lost.
			if value := spec.(*ast.ValueSpec); value.Type != nil {
				value.Values = nil
			}
		}
	}
}

// leaveOut drops the imports that nothing uses any more.
func leaveOut(file *ast.File, names map[string]string) {
	used := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok {
				used[name.Name] = true
			}
		}
		return true
	})
	for _, declaration := range file.Decls {
		d, ok := declaration.(*ast.GenDecl)
		if !ok || d.Tok != token.IMPORT {
			continue
		}
		var kept []ast.Spec
		for _, spec := range d.Specs {
			one := spec.(*ast.ImportSpec)
			path, _ := strconv.Unquote(one.Path.Value)
			name := names[path]
			if one.Name != nil {
				name = one.Name.Name
			}
			if name == "." || used[name] || path == "C" {
				kept = append(kept, spec)
			}
		}
		d.Specs = kept
	}
	var declarations []ast.Decl
	for _, declaration := range file.Decls {
		if d, ok := declaration.(*ast.GenDecl); !ok || len(d.Specs) > 0 {
			declarations = append(declarations, declaration)
		}
	}
	file.Decls = declarations
}
