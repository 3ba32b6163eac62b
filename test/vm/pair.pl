# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Run each guest of pair.sh in a run.sh of its own, pass the frames between them,
# and do what they ask for. All is held by descriptors: there are no names, and a
# guest finds the same contents of its NVDIMMs when it boots again.
#
#   perl pair.pl RUN.SH NODES OPTION... -- [OPTION... --]... COMMAND ARGUMENT...
#
# There is one list of options for each node.
use strict;
use warnings;
use Errno;
use Fcntl qw(F_GETFL F_SETFL F_SETFD O_NONBLOCK);
use IO::Handle;
use Socket;
use Time::HiRes qw(time);

# As much as may wait for a guest; the rest is lost, as in any switch.
my $ROOM = 4 << 20;
my $SYS_MEMFD_CREATE = 319; # of amd64, as the guests are
my $MFD_CLOEXEC = 1;
my $label = 'nvdimm'; # syscall() wants a variable

my @arguments = @ARGV;
my ($run, $count) = splice @ARGV, 0, 2;
my (@nodes, @timers, @prefixes, $all_cut, $stopped);
my $requests = 0;

for my $number (0 .. $count - 1) {
	my $node = { number => $number, boot => 0, state => 'off', code => 0 };

	while ((my $option = shift @ARGV) ne '--') {
		push @{$node->{options}}, $option;
	}
	for (1, 2) {
		my $fd = syscall $SYS_MEMFD_CREATE, $label, $MFD_CLOEXEC;
		open my $memory, '+<&=', $fd or die "memfd: $!\n";
		push @{$node->{nvdimms}}, $memory;
	}
	push @nodes, $node;
}

# Lines are written one by one, with the node's number, and so stay whole.
sub prefix
{
	my ($number, $to) = @_;

	my $pid = open my $pipe, '|-';
	die "fork: $!\n" unless defined $pid;
	push @prefixes, $pid;
	return $pipe if $pid;
	# The end of the input tells.
	$SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
	$to->autoflush(1);
	while (my $line = <STDIN>) {
		chomp $line;
		print $to "$number: $line\n";
	}
	exit 0;
}

sub say_to_all
{
	print STDERR "vm: @_\n";
}

sub answer
{
	my ($who, $what) = @_;

	# One that has ended needs none.
	syswrite $who->{node}{ask}, "$who->{id} $what\n" if $who && $who->{node}{pid};
}

sub monitor
{
	my ($node, $command, $id) = @_;

	syswrite $node->{monitor}, "{\"execute\":\"$command\",\"id\":\"$id\"}\n";
}

sub boot
{
	my ($node) = @_;
	my @theirs;

	for my $end (qw(net monitor ask)) {
		socketpair $node->{$end}, my $theirs, AF_UNIX, SOCK_STREAM, 0
			or die "socketpair: $!\n";
		fcntl $node->{$end}, F_SETFL, O_NONBLOCK | fcntl $node->{$end}, F_GETFL, 0;
		$node->{"from_$end"} = '';
		push @theirs, $theirs;
	}
	@$node{qw(state queue monitored)} = ('booting', '', {});
	@$node{qw(meeting killer)} = ();
	$node->{boot}++;
	my @kept = (@theirs, @{$node->{nvdimms}});
	my $member = join ':', $node->{number}, $count, $node->{boot}, map { fileno $_ } @kept;
	$node->{pid} = fork;
	die "fork: $!\n" unless defined $node->{pid};
	if (!$node->{pid}) {
		fcntl $_, F_SETFD, 0 for @kept;
		$SIG{PIPE} = 'DEFAULT';
		open STDOUT, '>&', $node->{stdout} or die;
		open STDERR, '>&', $node->{stderr} or die;
		exec qw(setpriv --pdeathsig TERM bash), $run, @{$node->{options}},
			'--member', $member, '--', @ARGV;
		die "setpriv: $!\n";
	}
	monitor($node, 'qmp_capabilities', 0);
}

# Its end of the socket for requests is in all its processes: none is left.
sub ended
{
	my ($node) = @_;

	waitpid $node->{pid}, 0;
	my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	my $killed = $node->{state} eq 'killed';
	$code = 0 if $killed && $code == 137;
	$node->{code} ||= $code;
	say_to_all("node $node->{number} ended with code $code") if $code && !$stopped;
	delete @$node{qw(pid net monitor ask)};
	$node->{state} = 'ended' unless $killed;
	answer($node->{killer}, 'ok');
	answer($node->{booter}, "it ended with code $code");
	delete $node->{booter};
}

# Frames are addressed to 52:54:00:00:00:NUMBER, or to all; each has its length
# before it.
sub frames
{
	my ($from) = @_;
	my ($at, $have) = (0, length $from->{from_net});

	while ($have - $at >= 10) {
		my ($size, $first, $number) = unpack 'N C x4 C', substr $from->{from_net}, $at, 10;
		last if $have - $at < 4 + $size;
		my $frame = substr $from->{from_net}, $at, 4 + $size;
		$at += 4 + $size;
		next if $all_cut || $from->{cut};
		for my $to ($first & 1 ? @nodes : $nodes[$number] // ()) {
			next if $to == $from || !$to->{pid} || $to->{cut};
			$to->{queue} .= $frame if length $to->{queue} < $ROOM;
		}
	}
	substr $from->{from_net}, 0, $at, '';
}

sub send_queue
{
	my ($node) = @_;

	my $n = syswrite $node->{net}, $node->{queue};
	substr $node->{queue}, 0, $n, '' if $n;
	# Without a reader any more; the rest of it is going to end, too.
	$node->{queue} = '' if !defined $n && !$!{EAGAIN} && !$!{EINTR};
}

# A meeting takes all; it cannot take place when one is gone.
sub meet
{
	my @waiting = grep defined, map $_->{meeting}, @nodes;
	my ($gone) = grep { !$_->{pid} || $_->{state} eq 'killed' } @nodes;

	return unless @waiting && ($gone || @waiting == @nodes);
	answer($_, $gone ? "node $gone->{number} has ended" : 'ok') for @waiting;
	$_->{meeting} = undef for @nodes;
}

my %undo = ('link-down' => 'link-up', freeze => 'thaw');
my %command = (freeze => 'stop', thaw => 'cont');

# What is done later is answered later, and says so by true.
sub request
{
	my ($who, $text) = @_;
	my ($verb, $number, $seconds) =
		$text =~ /^([a-z-]+)(?: ([0-9]))?(?: for ([0-9]+(?:\.[0-9]+)?))?$/
		or die "not understood\n";
	my $node = $nodes[$number // 0] or die "there is no node $number\n";

	die "which node?\n" if $verb =~ /^(freeze|thaw|kill|boot)$/ && !defined $number;
	die "not for a time\n" if defined $seconds && !$undo{$verb};
	if ($verb =~ /^link-(down|up)$/) {
		${defined $number ? \$node->{cut} : \$all_cut} = $1 eq 'down';
	} elsif ($command{$verb}) {
		die "node $number is not running\n" unless $node->{pid};
		$node->{monitored}{++$requests} = $who;
		monitor($node, $command{$verb}, $requests);
	} elsif ($verb eq 'kill') {
		die "node $number is not running\n" if $node->{state} ne 'running';
		@$node{qw(state killer)} = ('killed', $who);
		kill USR1 => $node->{pid};
	} elsif ($verb eq 'boot') {
		die "node $number was not killed\n" if $node->{pid} || $node->{state} ne 'killed';
		die "all is being stopped\n" if $stopped;
		boot($node);
		$node->{booter} = $who;
	} elsif ($verb eq 'meet' && $who) {
		$who->{node}{meeting} = $who;
	} elsif ($verb eq 'ready' && $who) {
		$who->{node}{state} = 'running';
		if ($who->{node}{boot} == 1) {
			$who->{node}{meeting} = $who;
		} else {
			answer($_, 'ok') for $who, delete $who->{node}{booter};
		}
	} else {
		die "not understood\n";
	}
	push @timers, { at => time + $seconds, text => $undo{$verb} . (defined $number ? " $number" : '') }
		if defined $seconds;
	return $verb !~ /^link-/;
}

# What is refused is answered with the reason.
sub try
{
	my ($who, $text) = @_;
	my $later = eval { request($who, $text) };

	chomp(my $why = $@);
	answer($who, $why || 'ok') unless $later;
}

my %arrived = (
	net => \&frames,
	monitor => sub {
		my ($node) = @_;

		while ($node->{from_monitor} =~ s/^(.*)\n//) {
			my ($line, $id) = ($1, $1 =~ /"id": "([0-9]+)"/);
			answer(delete $node->{monitored}{$id},
				$line =~ /"error"/ ? "refused by QEMU: $line" : 'ok')
				if $id;
		}
	},
	ask => sub {
		my ($node) = @_;

		try({ node => $node, id => $1 }, $2)
			while $node->{from_ask} =~ s/^([0-9]+) (.*)\n//;
	},
);

# Takes what has arrived; false when the guest is gone.
sub take
{
	my ($node, $end) = @_;
	my $in = "from_$end";
	my $n = sysread $node->{$end}, $node->{$in}, 1 << 16, length $node->{$in};

	return 1 if !defined $n && ($!{EAGAIN} || $!{EINTR});
	return 0 unless $n;
	$arrived{$end}->($node);
	return 1;
}

for my $node (@nodes) {
	$node->{stdout} = prefix($node->{number}, \*STDOUT);
	$node->{stderr} = prefix($node->{number}, \*STDERR);
}

$SIG{PIPE} = 'IGNORE';
my %signals = (HUP => 1, INT => 2, TERM => 15);
for my $name (keys %signals) {
	$SIG{$name} = sub {
		$stopped //= 128 + $signals{$name};
		my @pids = map $_->{pid} // (), @nodes;
		kill TERM => @pids;
		# They may be waiting for a reader of the output.
		kill KILL => @prefixes unless @pids;
	};
}

boot($_) for @nodes;
while (my @running = grep $_->{pid}, @nodes) {
	my ($read, $write) = ('', '');
	my $wait = 1;

	for my $node (@running) {
		vec($read, fileno $node->{$_}, 1) = 1 for qw(net monitor ask);
		vec($write, fileno $node->{net}, 1) = 1 if length $node->{queue};
	}
	for (@timers) {
		my $left = $_->{at} - time;
		$wait = $left > 0 ? $left : 0 if $left < $wait;
	}
	($read, $write) = ('', '') if select($read, $write, undef, $wait) < 0;
	for my $node (@running) {
		my @there = grep vec($read, fileno $node->{$_}, 1), qw(net monitor ask);
		my $lost = grep !take($node, $_), @there;

		send_queue($node) if length $node->{queue};
		ended($node) if $lost;
	}
	my @due = grep $_->{at} <= time, @timers;
	@timers = grep $_->{at} > time, @timers;
	try(undef, $_->{text}) for @due;
	meet();
}

kill KILL => @prefixes if $stopped;
# Each one also holds the pipes of those before it.
for my $node (reverse @nodes) {
	close $node->{stderr};
	close $node->{stdout};
}
exit $stopped if $stopped;
my @codes = grep $_, map $_->{code}, @nodes;
if (grep($_ == 126, @codes) && !$ENV{MD_VM_AGAIN}) {
	print STDERR "vm: nothing of ours had begun in one: booting them once more\n";
	$ENV{MD_VM_AGAIN} = 1;
	exec $^X, $0, @arguments;
}
my ($failure) = grep $_ != 77, @codes;
exit($failure // $codes[0] // 0);
