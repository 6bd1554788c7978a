# Run in a container of plain Debian 12: adds a user and an entrypoint, as images of applications have them.
set -eu
useradd --uid 1000 --create-home --shell /bin/bash app
cat > /usr/local/bin/app-entrypoint <<'SCRIPT'
#!/bin/sh
# Says who runs what, then runs it.
echo "app-entrypoint: user=$(whoami) arguments=$*"
exec "$@"
SCRIPT
chmod 755 /usr/local/bin/app-entrypoint
