# Run in a container of plain Debian 12: makes it look like CentOS 7.9 to every probe, with a working yum and rpm
# and a small repository of its own at /srv/repo. A fixture: nothing in it comes from CentOS.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io dnf rpm createrepo-c

# The repository.
work=/tmp/rpmbuild
mkdir -p $work/SPECS /srv/repo

package() { # name version requires; the file list and the scripts come on standard input
    cat > "$work/SPECS/$1-$2.spec" <<SPEC
Name: $1
Version: $2
Release: 1
Summary: A tiny package for FastBuild's tests
License: MIT
BuildArch: noarch
AutoReqProv: no
${3:+Requires: $3}
$(cat)
SPEC
    rpmbuild --quiet -bb --define "_topdir $work" --define "_rpmdir /srv/repo" \
        --define '__os_install_post %{nil}' --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
        "$work/SPECS/$1-$2.spec"
}

program() { # name version requires
    package "$1" "$2" "$3" <<SPEC
%description
Prints its name and version.
%install
mkdir -p %{buildroot}/usr/bin
printf '#!/bin/sh\necho "$1 $2"\n' > %{buildroot}/usr/bin/$1
%files
%attr(0755, root, root) /usr/bin/$1
SPEC
}

program hello-fastbuild 1.0 ''
program hello-fastbuild 2.0 ''
program tree-fastbuild 1.5 hello-fastbuild
package centos-release 7 '' <<'SPEC'
Provides: redhat-release = 7
Provides: system-release = 7
Provides: system-release(releasever) = 7
Provides: /bin/sh /bin/bash /usr/bin/bash /usr/bin/sh
%description
Says that this is CentOS Linux 7.
%install
mkdir -p %{buildroot}/etc
cat > %{buildroot}/etc/os-release <<'FILE'
NAME="CentOS Linux"
VERSION="7 (Core)"
ID="centos"
ID_LIKE="rhel fedora"
VERSION_ID="7"
PRETTY_NAME="CentOS Linux 7 (Core)"
ANSI_COLOR="0;31"
CPE_NAME="cpe:/o:centos:centos:7"
CENTOS_MANTISBT_PROJECT="CentOS-7"
CENTOS_MANTISBT_PROJECT_VERSION="7"
REDHAT_SUPPORT_PRODUCT="centos"
REDHAT_SUPPORT_PRODUCT_VERSION="7"
FILE
echo 'CentOS Linux release 7.9.2009 (Core)' > %{buildroot}/etc/centos-release
cp %{buildroot}/etc/centos-release %{buildroot}/etc/redhat-release
cp %{buildroot}/etc/centos-release %{buildroot}/etc/system-release
%files
/etc/os-release
/etc/centos-release
/etc/redhat-release
/etc/system-release
SPEC
createrepo_c --quiet /srv/repo

# yum, and what it is told.
ln -s dnf-3 /usr/bin/yum
mkdir -p /etc/yum.repos.d
cat > /etc/yum.repos.d/CentOS-Base.repo <<'FILE'
[base]
name=CentOS-7 - Base
baseurl=file:///srv/repo
enabled=1
gpgcheck=0
FILE

# No trace of Debian's own package manager and name.
rm -f /etc/os-release /usr/lib/os-release /etc/debian_version /etc/issue /etc/issue.net
yum -y install centos-release
ln -s ../../etc/os-release /usr/lib/os-release
yum clean all
apt-get clean
rm -rf /usr/bin/apt /usr/bin/apt-* /usr/bin/dpkg /usr/bin/dpkg-* /usr/sbin/dpkg-* /usr/bin/createrepo_c \
    /etc/apt /etc/dpkg /var/lib/apt /var/lib/dpkg /var/cache/apt /var/log/apt /var/log/dpkg.log \
    /usr/lib/apt /usr/share/dpkg $work
rpm -q centos-release
yum --version
