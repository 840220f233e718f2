module github.com/backendtls/backendtls/test/localcluster/components/pause

go 1.27.0
