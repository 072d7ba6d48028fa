# Keeps a pooler in a folder of its own, for a program that has the other end of standard input: when that is closed the program has
# ended, however that came about, and the pooler and its folder are taken away.
#
# Its arguments are the pooler's program, its configuration without what lies in the folder, and who may come in. What the pooler says
# comes on standard output.

# Nobody may be left who hears it.
trap '' PIPE

name=millpond-pooler.XXXXXXXX
folder=$(mktemp -d -t "$name" 2>/dev/null || TMPDIR=/tmp mktemp -d -t "$name") || exit
printf '%s\n' "$2" "auth_file = $folder/users" >"$folder/configuration"
printf '%s\n' "$3" >"$folder/users"

"$1" "$folder/configuration" </dev/null 2>&1 &
pooler=$!

read -r _

kill "$pooler" 2>/dev/null
wait "$pooler"
rm -rf "$folder"
