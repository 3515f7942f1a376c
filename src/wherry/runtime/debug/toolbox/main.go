// Command toolbox is what `wherry debug` brings along where no busybox is installed: a shell and a few small programs
// in one static binary.
package main

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mvdan.cc/sh/moreinterp/coreutils"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// call is one call of a program.
type call struct {
	args []string
	dir  string
	env  func() []string
	in   io.Reader
	out  io.Writer
	err  io.Writer
}

func (c *call) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}

// each calls work with every file that is named, or with the standard input.
func (c *call) each(names []string, work func(name string, file io.Reader) error) error {
	if len(names) == 0 {
		return work("", c.in)
	}
	for _, name := range names {
		file, err := os.Open(c.path(name))
		if err != nil {
			return err
		}
		err = work(name, file)
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

var programs = map[string]func(*call) error{
	"env": env, "grep": grep, "head": head, "hexdump": hexdump, "id": id, "kill": kill, "ps": ps, "readlink": readlink,
	"sleep": sleep, "stat": stat, "tar": pack, "uname": uname, "wc": wc, "wget": wget,
}

// shared are the programs of coreutils.
var shared = []string{
	"base64", "cat", "chmod", "cp", "find", "gunzip", "gzcat", "gzip", "ls", "mkdir", "mktemp", "mv", "rm", "shasum",
	"touch", "xargs",
}

func env(c *call) error {
	for _, word := range c.env() {
		fmt.Fprintln(c.out, word)
	}
	return nil
}

func grep(c *call) error {
	if len(c.args) == 0 {
		return errors.New("usage: grep TEXT [FILE]...")
	}
	found := false
	err := c.each(c.args[1:], func(_ string, file io.Reader) error {
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			if strings.Contains(lines.Text(), c.args[0]) {
				found = true
				fmt.Fprintln(c.out, lines.Text())
			}
		}
		return lines.Err()
	})
	if err == nil && !found {
		return interp.ExitStatus(1)
	}
	return err
}

func head(c *call) error {
	count, names := 10, c.args
	if len(names) > 1 && names[0] == "-n" {
		number, err := strconv.Atoi(names[1])
		if err != nil {
			return err
		}
		count, names = number, names[2:]
	}
	return c.each(names, func(_ string, file io.Reader) error {
		lines := bufio.NewReader(file)
		for range count {
			line, err := lines.ReadString('\n')
			io.WriteString(c.out, line)
			if err != nil {
				return nil
			}
		}
		return nil
	})
}

func hexdump(c *call) error {
	return c.each(c.args, func(_ string, file io.Reader) error {
		line := make([]byte, 16)
		for at := 0; ; at += 16 {
			count, err := io.ReadFull(file, line)
			if count == 0 {
				return nil
			}
			text := strings.Map(func(letter rune) rune {
				if letter < ' ' || letter > '~' {
					return '.'
				}
				return letter
			}, string(bytesToRunes(line[:count])))
			fmt.Fprintf(c.out, "%08x  %-48s |%s|\n", at, fmt.Sprintf("% x", line[:count]), text)
			if err != nil {
				return nil
			}
		}
	})
}

func bytesToRunes(line []byte) []rune {
	runes := make([]rune, len(line))
	for at, letter := range line {
		runes[at] = rune(letter)
	}
	return runes
}

func id(c *call) error {
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	words := make([]string, 0, len(groups))
	for _, group := range groups {
		words = append(words, strconv.Itoa(group))
	}
	fmt.Fprintf(c.out, "uid=%d gid=%d", os.Getuid(), os.Getgid())
	if len(words) > 0 {
		fmt.Fprintf(c.out, " groups=%s", strings.Join(words, ","))
	}
	fmt.Fprintln(c.out)
	return nil
}

func kill(c *call) error {
	signal, names := 15, c.args
	if len(names) > 1 && strings.HasPrefix(names[0], "-") {
		number, err := strconv.Atoi(names[0][1:])
		if err != nil {
			return fmt.Errorf("%s: give the signal's number", names[0])
		}
		signal, names = number, names[1:]
	}
	for _, name := range names {
		process, err := strconv.Atoi(name)
		if err != nil {
			return err
		}
		if err := syscall.Kill(process, syscall.Signal(signal)); err != nil {
			return fmt.Errorf("%d: %w", process, err)
		}
	}
	return nil
}

func ps(c *call) error {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	sort.Slice(folders, func(i, j int) bool { return number(folders[i]) < number(folders[j]) })
	fmt.Fprintf(c.out, "%7s %6s %s %s\n", "PID", "USER", "S", "COMMAND")
	for _, folder := range folders {
		status, err := os.ReadFile(folder + "/status")
		if err != nil {
			continue // it ended meanwhile
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(status)) {
			name, text, _ := strings.Cut(strings.TrimSpace(line), ":")
			fields[name] = strings.TrimSpace(text)
		}
		words, _ := os.ReadFile(folder + "/cmdline")
		command := strings.TrimSpace(strings.ReplaceAll(string(words), "\x00", " "))
		if command == "" {
			command = "[" + fields["Name"] + "]"
		}
		user, _, _ := strings.Cut(fields["Uid"], "\t")
		state := fields["State"]
		if len(state) > 1 {
			state = state[:1]
		}
		fmt.Fprintf(c.out, "%7d %6s %s %s\n", number(folder), user, state, printable(command))
	}
	return nil
}

func number(folder string) int {
	found, _ := strconv.Atoi(filepath.Base(folder))
	return found
}

func printable(text string) string {
	return strings.Map(func(letter rune) rune {
		if strconv.IsPrint(letter) {
			return letter
		}
		return '\uFFFD'
	}, text)
}

func readlink(c *call) error {
	for _, name := range c.args {
		target, err := os.Readlink(c.path(name))
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, target)
	}
	return nil
}

func sleep(c *call) error {
	for _, word := range c.args {
		seconds, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(seconds * float64(time.Second)))
	}
	return nil
}

func stat(c *call) error {
	for _, name := range c.args {
		found, err := os.Lstat(c.path(name))
		if err != nil {
			return err
		}
		owner, _ := found.Sys().(*syscall.Stat_t)
		fmt.Fprintf(c.out, "%s  %d bytes  %d:%d  inode %d  links %d  %s  %s\n", found.Mode(), found.Size(), owner.Uid,
			owner.Gid, owner.Ino, owner.Nlink, found.ModTime().UTC().Format(time.RFC3339), name)
	}
	return nil
}

// pack writes an archive to the standard output: coreutils' own program can't take what is at the root.
func pack(c *call) error {
	if len(c.args) < 4 || c.args[0] != "-cf" || c.args[1] != "-" || c.args[2] != "-C" {
		return errors.New("usage: tar -cf - -C FOLDER NAME...")
	}
	folder, out, names := c.path(c.args[3]), tar.NewWriter(c.out), c.args[4:]
	for _, name := range names {
		if name == "--" {
			continue
		}
		err := filepath.Walk(filepath.Join(folder, name), func(path string, found os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			return add(out, folder, path, found)
		})
		if err != nil {
			return err
		}
	}
	return out.Close()
}

func add(out *tar.Writer, folder, path string, found os.FileInfo) error {
	if found.Mode()&os.ModeSocket != 0 {
		return nil
	}
	target, _ := os.Readlink(path)
	header, err := tar.FileInfoHeader(found, target)
	if err != nil {
		return err
	}
	if header.Name, err = filepath.Rel(folder, path); err != nil {
		return err
	}
	header.Format = tar.FormatPAX
	if err := out.WriteHeader(header); err != nil || !found.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.CopyN(out, file, header.Size)
	return err
}

func uname(c *call) error {
	for _, name := range []string{"ostype", "hostname", "osrelease", "version"} {
		text, err := os.ReadFile("/proc/sys/kernel/" + name)
		if err != nil {
			return err
		}
		fmt.Fprint(c.out, strings.TrimSpace(string(text)), " ")
	}
	fmt.Fprintln(c.out)
	return nil
}

func wc(c *call) error {
	return c.each(c.args, func(name string, file io.Reader) error {
		text, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.out, strings.Count(string(text), "\n"), len(strings.Fields(string(text))), len(text), name)
		return nil
	})
}

// wget asks by HTTP/1.0 and prints the body: net/http would be half of this program.
func wget(c *call) error {
	if len(c.args) == 0 || !strings.HasPrefix(c.args[len(c.args)-1], "http://") {
		return errors.New("usage: wget http://HOST[:PORT]/PATH")
	}
	host, path, _ := strings.Cut(strings.TrimPrefix(c.args[len(c.args)-1], "http://"), "/")
	address := host
	if !strings.Contains(host, ":") || strings.HasSuffix(host, "]") {
		address += ":80"
	}
	line, err := net.DialTimeout("tcp", address, time.Minute)
	if err != nil {
		return err
	}
	defer line.Close()
	fmt.Fprintf(line, "GET /%s HTTP/1.0\r\nHost: %s\r\nUser-Agent: wherry\r\n\r\n", path, host)
	answer := bufio.NewReader(line)
	status, err := answer.ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Fprint(c.err, status)
	for head := status; strings.TrimSpace(head) != "" && err == nil; {
		head, err = answer.ReadString('\n')
	}
	if _, err = io.Copy(c.out, answer); err != nil {
		return err
	}
	if words := strings.Fields(status); len(words) < 2 || words[1] >= "400" {
		return interp.ExitStatus(1)
	}
	return nil
}

// own runs the programs above, in the shell.
func own(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		c := interp.HandlerCtx(ctx)
		if args[0] == "sh" {
			return again(ctx, c, args)
		}
		program, ours := programs[args[0]]
		if !ours {
			return next(ctx, args)
		}
		variables := func() (found []string) {
			for name, value := range c.Env.Each {
				if value.Exported {
					found = append(found, name+"="+value.String())
				}
			}
			return found
		}
		err := program(&call{args: args[1:], dir: c.Dir, env: variables, in: c.Stdin, out: c.Stdout, err: c.Stderr})
		var status interp.ExitStatus
		if err != nil && !errors.As(err, &status) {
			fmt.Fprintf(c.Stderr, "%s: %v\n", args[0], err)
			return interp.ExitStatus(1)
		}
		return err
	}
}

// again starts this program once more.
func again(ctx context.Context, c interp.HandlerContext, args []string) error {
	command := exec.CommandContext(ctx, "/proc/self/exe", args[1:]...)
	command.Args[0], command.Dir = args[0], c.Dir
	command.Stdin, command.Stdout, command.Stderr = c.Stdin, c.Stdout, c.Stderr
	for name, value := range c.Env.Each {
		if value.Exported {
			command.Env = append(command.Env, name+"="+value.String())
		}
	}
	err := command.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return interp.ExitStatus(ended.ExitCode())
	}
	return err
}

func shell(args []string) error {
	runner, err := interp.New(
		interp.Interactive(len(args) == 0), interp.StdIO(os.Stdin, os.Stdout, os.Stderr),
		interp.ExecHandlers(own, coreutils.ExecHandler),
	)
	if err != nil {
		return err
	}
	parser, ctx := syntax.NewParser(), context.Background()
	if len(args) > 1 && args[0] == "-c" {
		if len(args) > 3 {
			interp.Params(append([]string{"--"}, args[3:]...)...)(runner)
		}
		program, err := parser.Parse(strings.NewReader(args[1]), "")
		if err != nil {
			return err
		}
		return runner.Run(ctx, program)
	}
	if len(args) > 0 {
		return errors.New("usage: sh [-c COMMAND [NAME [ARG]...]]")
	}
	prompt := func() {
		if state, err := os.Stdin.Stat(); err == nil && state.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintf(os.Stdout, "%s $ ", runner.Dir)
		}
	}
	prompt()
	var last error
	err = parser.Interactive(os.Stdin, func(statements []*syntax.Stmt) bool {
		if parser.Incomplete() {
			fmt.Fprint(os.Stdout, "> ")
			return true
		}
		for _, statement := range statements {
			last = runner.Run(ctx, statement)
			if runner.Exited() {
				return false
			}
		}
		prompt()
		return true
	})
	if err != nil {
		return err
	}
	return last
}

func run() error {
	args := os.Args
	names := slices.Concat(shared, []string{"sh"})
	for name := range programs {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Contains(names, filepath.Base(args[0])) {
		args = args[1:]
	}
	if len(args) == 0 || args[0] == "--list" {
		fmt.Println(strings.Join(names, "\n"))
		return nil
	}
	if args[0] = filepath.Base(args[0]); args[0] == "sh" {
		return shell(args[1:])
	}
	return shell(append([]string{"-c", `"$@"`, "sh"}, args...))
}

func main() {
	err := run()
	var status interp.ExitStatus
	if errors.As(err, &status) {
		os.Exit(int(status))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
