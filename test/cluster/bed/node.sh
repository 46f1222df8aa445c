#!/usr/bin/env bash
# The first process of one node, in namespaces of its own. NODE_FOLDER holds its configuration and
# its disk; PROGRAMS the programs; IMAGES the archives that it loads.
set -euo pipefail
if [ $$ -ne 1 ]; then
  echo 'node.sh must be the first process of its own namespace of processes' >&2
  exit 1
fi
hostname "$NODE_NAME"

# Each node has its own view of the folders that kubelet and containerd insist on.
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock
for path in /var/lib/kubelet /var/lib/containerd /var/log/pods /var/log/containers /etc/cni/net.d; do
  mkdir -p "$path" "$NODE_FOLDER/disk$path"
  mount --bind "$NODE_FOLDER/disk$path" "$path"
done
mount --make-shared /var/lib/kubelet
cp "$NODE_FOLDER/cni.conflist" /etc/cni/net.d/10-bridge.conflist

# kubelet wants these kernel settings: it is shown files that have them, the machine's own stay.
while read -r setting value; do
  shown=$NODE_FOLDER/settings/${setting//\//_}
  mkdir -p "${shown%/*}"
  echo "$value" >"$shown"
  mount --bind "$shown" "/proc/sys/$setting"
done <<'SETTINGS'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SETTINGS

start() {
  local name=$1
  shift
  "$@" >>"$NODE_FOLDER/$name.log" 2>&1 &
}

start containerd containerd --config "$NODE_FOLDER/containerd.toml"
until ctr version >/dev/null 2>&1; do sleep 0.05; done
# A node that comes back has its images.
loaded=$NODE_FOLDER/images-are-loaded
if [ ! -e "$loaded" ]; then
  for image in "$IMAGES"/*.tar; do
    ctr --namespace k8s.io images import --all-platforms "$image" >>"$NODE_FOLDER/images.log" 2>&1
  done
  # A second version for tests of upgrades: the same program under another tag.
  ctr --namespace k8s.io images tag registry.local/atomicraft:bed \
    registry.local/atomicraft:bed-next >>"$NODE_FOLDER/images.log" 2>&1
  touch "$loaded"
fi
start kubelet "$PROGRAMS/kubelet" --config="$NODE_FOLDER/kubelet.json" \
  --kubeconfig="$PKI/node-$NODE_NAME.kubeconfig" --hostname-override="$NODE_NAME" \
  --node-ip="$NODE_IP" --node-labels="topology.kubernetes.io/zone=zone-$NODE_NAME"
start kube-proxy "$PROGRAMS/kube-proxy" --kubeconfig="$PKI/proxy.kubeconfig" \
  --hostname-override="$NODE_NAME" --cluster-cidr="$POD_RANGE" --proxy-mode=iptables \
  --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
  --conntrack-tcp-timeout-close-wait=0

# Orphans end up here: reap them until the node is killed.
while :; do wait -n || sleep 0.2; done
