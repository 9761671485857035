module skerry.dev/lab/pause

go 1.26.5
