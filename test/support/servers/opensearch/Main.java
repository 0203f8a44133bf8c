import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** One node of OpenSearch on the loopback address: `Main.java FOLDER PORT`. */
public class Main {
  static class Server extends Node {
    Server(Settings settings, Path home) {
      super(
          InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> "test"),
          List.of(Netty4Plugin.class, ReindexPlugin.class),
          false);
    }
  }

  public static void main(String[] given) throws Exception {
    Path home = Path.of(given[0]);
    Files.createDirectories(home.resolve("config"));
    Settings settings =
        Settings.builder()
            .put("path.home", home.toString())
            .put("cluster.name", "test")
            .put("node.name", "test")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", given[1])
            .put("transport.port", "0")
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            .put("node.processors", "1")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
    new Server(settings, home).start();
    Thread.currentThread().join();
  }
}
