import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.BinData;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.exception.MongoServerError;
import io.netty.channel.Channel;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import org.h2.mvstore.MVStore;

/**
 * A server of MongoDB's protocol for tests on machines without a mongod: {@code MongoStandIn <port> <file> [<user>:<password>]}
 * serves 127.0.0.1 and keeps its data in one file. What it has acknowledged survives SIGKILL. It dies where it can't listen.
 */
public final class MongoStandIn extends H2Backend {
    private static final Set<String> WRITES = Set.of(
        "insert", "update", "delete", "findandmodify", "createindexes", "dropindexes", "create", "drop", "dropdatabase");

    private final String login;

    private MongoStandIn(MVStore store, String login) {
        super(store);
        this.login = login;
    }

    /**
     * A write and its commit are one step: a commit in the middle of another connection's write would leave half of that
     * (a document without its index entry) in the file of a server that is then killed.
     */
    @Override
    public Document handleCommand(Channel channel, String database, String command, Document query) {
        if (command.equalsIgnoreCase("saslStart")) return logIn(query);
        if (!WRITES.contains(command.toLowerCase())) return super.handleCommand(channel, database, command, query);
        synchronized (WRITES) {
            try {
                return super.handleCommand(channel, database, command, query);
            } finally {
                commit();
            }
        }
    }

    /** Mechanism PLAIN (RFC 4616) only. Who does not log in is let in. */
    private Document logIn(Document query) {
        byte[] said = query.get("payload") instanceof BinData payload ? payload.getData() : new byte[0];
        if (!new String(said, StandardCharsets.UTF_8).equals("\0" + login.replaceFirst(":", "\0"))) {
            throw new MongoServerError(18, "AuthenticationFailed", "Authentication failed.");
        }
        return new Document("conversationId", 1).append("done", true).append("payload", new BinData(new byte[0])).append("ok", 1.0);
    }

    /** With the process id, as a mongod has it, so that whoever started this process knows that it is the one that answers. */
    @Override
    public Document getServerStatus() {
        return super.getServerStatus().append("pid", ProcessHandle.current().pid());
    }

    public static void main(String[] args) {
        // Its own commits, one a second in the background, would come in the middle of writes.
        MVStore store = new MVStore.Builder().fileName(args[1]).autoCommitDisabled().open();
        store.setRetentionTime(0);
        MongoStandIn backend = new MongoStandIn(store, args.length > 2 ? args[2] : "");
        backend.version(new MongoVersion() {
            @Override
            public List<Integer> getVersionArray() {
                return List.of(5, 0, 0);
            }

            @Override
            public int getWireVersion() {
                return 13;
            }
        });
        MongoServer server = new MongoServer(backend);
        try {
            server.bind("127.0.0.1", Integer.parseInt(args[0]));
        } catch (RuntimeException cause) {
            System.err.println(cause);
            System.exit(1);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
    }
}
