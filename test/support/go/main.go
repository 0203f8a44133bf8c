// A verifier that shares no code with ours: Go's signed notes and Merkle trees. Arguments: proof file, verifier key file.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	proof := read(os.Args[1])
	head, checkpoint, _ := bytes.Cut(proof, []byte("\n\n"))
	verifier, err := note.NewVerifier(strings.TrimSpace(string(read(os.Args[2]))))
	check(err)
	opened, err := note.Open(checkpoint, note.VerifierList(verifier))
	check(err)
	tree := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(tree[1], 10, 64)
	check(err)
	var root tlog.Hash
	copy(root[:], decode(tree[2]))

	lines := strings.Split(string(head), "\n")
	var extra struct{ Salt, Content string }
	check(json.Unmarshal(decode(strings.TrimPrefix(lines[1], "extra ")), &extra))
	salt, err := hex.DecodeString(extra.Salt)
	check(err)
	entry := sha256.Sum256(append(salt, extra.Content...))
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	check(err)
	var path tlog.RecordProof
	for _, line := range lines[3:] {
		var hash tlog.Hash
		copy(hash[:], decode(line))
		path = append(path, hash)
	}
	check(tlog.CheckRecord(path, size, root, index, tlog.RecordHash(entry[:])))
	fmt.Printf("holds: index %d of %d\n", index, size)
}

func read(path string) []byte {
	content, err := os.ReadFile(path)
	check(err)
	return content
}

func decode(text string) []byte {
	bytes, err := base64.StdEncoding.DecodeString(text)
	check(err)
	return bytes
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
