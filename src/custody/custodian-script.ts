/**
 * The custodian's program, for the POSIX shell: `sh -c <this> custodian <pid of the sidecar> <variable=id> <watermark>`.
 *
 * It reads `+ pid start` and `- pid start` (a process to know of, or not any more; start is `-1` where
 * nobody can tell) and `q` (all is well, go). When its input ends without that, the sidecar is dead, and
 * it ends every process that carries the mark in its environment or the watermark in its limits, is
 * known, is in a group or session that a known one has led, or has been started by any of these. Where
 * processes cannot be seen, it ends the groups of the known ones.
 *
 * A shell rather than Node: it takes 1 MB instead of 40, is there before the first child is, needs no
 * file to be shipped, and an Electron app may have been built without a Node to run (`RunAsNode` off).
 * It runs no other program until the sidecar is dead.
 */
export const custodianScript = String.raw`
trap '' HUP INT QUIT PIPE ALRM TERM USR1 USR2 TSTP TTIN TTOU
sidecar=$1 mark=$2 watermark=$3 known=
while read -r word pid start; do
  case $word in
    +) known="$known $pid:$start" ;;
    -) kept=
       for one in $known; do [ "$one" = "$pid:$start" ] || kept="$kept $one"; done
       known=$kept ;;
    q) exit 0 ;;
  esac
done

# Our own number tells whether this is the /proc of our namespace, or of one with other numbers.
proc=
if [ -r /proc/self/stat ]; then
  read -r self rest </proc/self/stat
  if [ "$self" = "$$" ]; then proc=ours; else proc=foreign; fi
fi

# Prints pid:parent:group:session:start of every process but zombies, the sidecar and those of this program.
list() {
  if [ "$proc" = foreign ]; then return; fi
  if [ "$proc" = ours ]; then
    for file in /proc/[0-9]*/stat; do
      text=
      while read -r part; do text="$text $part"; done <"$file"
      # The name of the program, in parentheses, may hold anything.
      set -- $\{text##*) }
      [ $# -ge 20 ] || continue
      case $1 in Z|X) [ "$\{18}" -gt 1 ] || continue ;; esac
      pid=$\{file#/proc/}
      row "$\{pid%/stat}" "$2" "$3" "$4" "$\{20}"
    done
  else
    ps -A -o pid=,ppid=,pgid=,stat= | while read -r pid parent group state; do
      case $state in Z*) ;; *) row "$pid" "$parent" "$group" "$group" -1 ;; esac
    done
  fi
}
row() {
  case $1:$2 in "$$":*|*:"$$"|"$sidecar":*) return ;; esac
  # The sidecar has closed the pipe and lives on: children of its own are none of ours. Process 1 has orphans as well.
  case $2:$known in 1:*|"$sidecar":*" $1:"*) ;; "$sidecar":*) return ;; esac
  echo "$1:$2:$3:$4:$5"
}

# Prints the pids of those that carry a mark.
marked() {
  if [ "$proc" = ours ]; then
    { [ -z "$watermark" ] || grep -ls "realtime timeout  *$watermark" /proc/[0-9]*/limits
      grep -ls "$mark" /proc/[0-9]*/environ
    } | while IFS=/ read -r _ _ pid _; do echo "$pid"; done
  else
    ps -A -E -ww -o pid=,command= | while read -r pid text; do
      case $text in *"$mark"*) echo "$pid" ;; esac
    done
  fi
}

# Sets found to the pids (or, negative, to the groups) of what has to end, with spaces around each.
find_all() {
  table=$(list)
  if [ -z "$table" ]; then
    found=' '
    for one in $known; do if kill -s 0 -- "-$\{one%:*}"; then found="$found-$\{one%:*} "; fi; done
    return
  fi
  marks=" $(marked | tr '\n' ' ') "
  found=' ' leaders=' '
  for one in $known; do
    pid=$\{one%:*} start=$\{one#*:} now=
    for line in $table; do case $line in "$pid":*) now=$\{line##*:} ;; esac; done
    # The number of another process by now, or one that has ended and may have left its group behind.
    case $now in "$start") found="$found$pid " ;; '') leaders="$leaders$pid " ;; esac
  done
  before=
  while [ "$found" != "$before" ]; do
    before=$found
    for line in $table; do
      IFS=:; set -- $line; unset IFS
      case $found in *" $1 "*) continue ;; esac
      case $marks in *" $1 "*) found="$found$1 "; continue ;; esac
      case $found in *" $2 "*|*" $3 "*|*" $4 "*) found="$found$1 "; continue ;; esac
      case $leaders in *" $3 "*|*" $4 "*) found="$found$1 " ;; esac
    done
  done
}

find_all
kill -s TERM -- $found
sleep 0.2 || sleep 1
clean=0 rounds=0
# A process may be between its start and the moment when it can be told, so one look is not enough.
while [ $clean -lt 3 ] && [ $rounds -lt 100 ]; do
  find_all
  if [ "$found" = ' ' ]; then clean=$((clean + 1)); else clean=0; kill -s KILL -- $found; fi
  rounds=$((rounds + 1))
  sleep 0.05 || sleep 1
done
`.replaceAll("$\\{", "${");
