// The lab's S3 server: versitygw over a folder, made to refuse keys with dot segments, as MinIO does.
//
// versitygw v1.8.0 holds a POST policy's starts-with against the key as it was sent, and its posix backend then resolves
// `sites/a/../b/x` to `sites/b/x`: a form for one prefix would write anywhere in the bucket.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// confined refuses to make objects whose keys a file system would resolve to others.
type confined struct{ backend.Backend }

func (c confined) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	if dotted(in.Key) {
		return s3response.PutObjectOutput{}, s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	return c.Backend.PutObject(ctx, in)
}

func (c confined) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	if dotted(in.Key) {
		return s3response.CopyObjectOutput{}, s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	return c.Backend.CopyObject(ctx, in)
}

func (c confined) CreateMultipartUpload(
	ctx context.Context, in s3response.CreateMultipartUploadInput,
) (s3response.InitiateMultipartUploadResult, error) {
	if dotted(in.Key) {
		return s3response.InitiateMultipartUploadResult{}, s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	return c.Backend.CreateMultipartUpload(ctx, in)
}

func dotted(key *string) bool {
	return key != nil && slices.ContainsFunc(strings.Split(*key, "/"), func(segment string) bool {
		return segment == "." || segment == ".."
	})
}

func main() {
	port := flag.String("port", "127.0.0.1:7070", "address to listen at")
	health := flag.String("health", "", "path of health checks")
	region := flag.String("region", "us-east-1", "region that clients sign for")
	keepAlive := flag.Bool("keep-alive", false, "keep connections open")
	flag.Parse()
	// The same command line as versitygw's own.
	if flag.NArg() != 2 || flag.Arg(0) != "posix" {
		log.Fatal("usage: versitygw [flags] posix FOLDER, with ROOT_ACCESS_KEY and ROOT_SECRET_KEY set")
	}
	root := flag.Arg(1)
	if err := (meta.XattrMeta{}).Test(root); err != nil {
		log.Fatalf("%s: extended attributes are needed: %v", root, err)
	}
	options := posix.PosixOpts{Concurrency: 5000, CopyObjectThreshold: 5 << 30}
	options.SetNewDirPerm(0o755)
	options.SetNewFilePerm(0o644)
	folder, err := posix.New(root, meta.XattrMeta{}, options)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err = embedgw.RunVersityGW(ctx, confined{folder}, &embedgw.Config{
		RootUserAccess:    os.Getenv("ROOT_ACCESS_KEY"),
		RootUserSecret:    os.Getenv("ROOT_SECRET_KEY"),
		Region:            *region,
		Ports:             []string{*port},
		HealthPath:        *health,
		KeepAlive:         *keepAlive,
		MaxConnections:    10_000,
		MaxRequests:       10_000,
		MultipartMaxParts: 10_000,
	})
	if err != nil {
		log.Fatal(err)
	}
}
