# Keeps a PostgreSQL server in a folder of its own, for a program that tells it on standard input what to do, an order a line:
#
#   start PORT   ends when connections are accepted
#   stop         at once and without a checkpoint: pg_ctl calls it "immediate"
#   kill         no process of it has time to do anything
#
# Each is answered by a line: how it ended, as commands do. Before the first order there is such a line too, with the folder.
# When there are no more orders the program has ended, however that came about: then server and folder are taken away.
#
# Its arguments are the folder with the programs of PostgreSQL, and what is added to their configuration.

programs=$1
configuration=$2

# Nobody may be left who hears the answers, and there is something left to do all the same.
trap '' PIPE

# Made by whoever the server runs as, so he can reach it; where he may not, there is the common place.
name=millpond-postgres.XXXXXXXX
folder=$(mktemp -d -t "$name" 2>/dev/null || TMPDIR=/tmp mktemp -d -t "$name") || exit
data=$folder/data

create() {
    "$programs/initdb" --pgdata="$data" --auth=trust --username=millpond \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync &&
        printf '%s\n' "$configuration" >>"$data/postgresql.conf"
}

# Every process of the server inherits the lock that this takes: it is free again when the last of them has ended.
when_free() {
    flock --timeout 60 "$folder/lock" "$@"
}

start() {
    when_free "$programs/pg_ctl" start --pgdata="$data" --wait --log="$folder/log" --options="-p $1"
}

stop() {
    "$programs/pg_ctl" stop --pgdata="$data" --wait --mode=immediate && when_free true
}

# Its other processes end by themselves when they see that the first one is gone. What a dead server leaves for its successor
# to look at, its number and a piece of shared memory, is of no use then, and would be left behind if there is no successor.
slay() {
    kill -s KILL "$(head -n 1 "$data/postmaster.pid")" && when_free true &&
        ipcrm -m "$(sed -n '7s/.* //p' "$data/postmaster.pid")" && rm "$data/postmaster.pid"
}

obey() {
    case $1 in
        start) start "$2" ;;
        stop) stop ;;
        kill) slay ;;
        *) false ;;
    esac
}

create </dev/null >"$folder/log" 2>&1
echo "$? $folder" 2>/dev/null

while read -r order port; do
    obey "$order" "$port" </dev/null >>"$folder/log" 2>&1
    echo "$?" 2>/dev/null
done

stop </dev/null >>"$folder/log" 2>&1
rm -rf "$folder"
