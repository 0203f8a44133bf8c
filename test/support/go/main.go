// A verifier that shares no code with ours: Go's signed notes and Merkle trees, and the cosignatures of transparency-dev.
// Arguments: proof file, the log's verifier key file, and optionally a witness's.
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

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	proof := read(os.Args[1])
	head, checkpoint, _ := bytes.Cut(proof, []byte("\n\n"))
	verifier, err := note.NewVerifier(strings.TrimSpace(string(read(os.Args[2]))))
	check(err)
	trusted := []note.Verifier{verifier}
	if len(os.Args) > 3 {
		witness, err := cosignature.NewVerifierForCosignatureV1(plainKey(strings.TrimSpace(string(read(os.Args[3])))))
		check(err)
		trusted = append(trusted, witness)
	}
	opened, err := note.Open(checkpoint, note.VerifierList(trusted...))
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
	fmt.Printf("holds: index %d of %d", index, size)
	for _, signature := range opened.Sigs {
		if signature.Name != verifier.Name() {
			fmt.Printf(", cosigned by %s", signature.Name)
		}
	}
	fmt.Println()
	if len(opened.Sigs) < len(trusted) {
		check(fmt.Errorf("not cosigned"))
	}
}

// The key as an ordinary one (type 1): this version of the library makes the cosigner's (type 4) out of it itself.
func plainKey(cosigner string) string {
	parts := strings.SplitN(cosigner, "+", 3)
	key := decode(parts[2])
	if key[0] != 4 {
		check(fmt.Errorf("%s is no cosigner's key", parts[0]))
	}
	key[0] = 1
	return strings.Join([]string{parts[0], parts[1], base64.StdEncoding.EncodeToString(key)}, "+")
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
