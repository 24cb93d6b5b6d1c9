// java Ask.java msra_ner 王小明在北京大学读书: asks a task through the gateway; Java 17 and later, nothing to install.
// ERNIE_TRITON_GATEWAY: its address, http://127.0.0.1:8080 where it is not set.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.stream.Collectors;
import java.util.stream.Stream;

public class Ask {
    public static void main(String[] words) throws Exception {
        var gateway = System.getenv().getOrDefault("ERNIE_TRITON_GATEWAY", "http://127.0.0.1:8080");
        var texts = Stream.of(words).skip(1).map(Ask::quoted).collect(Collectors.joining(","));
        var request = HttpRequest.newBuilder(URI.create(gateway + "/v1/tasks/" + words[0]))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"inputs\": [" + texts + "]}"))
                .build();
        var reply = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(reply.body()); // read it with the JSON library of your project
        System.exit(reply.statusCode() == 200 ? 0 : 1);
    }

    private static String quoted(String text) {
        var json = new StringBuilder("\"");
        text.chars().forEach(unit -> json.append(
                unit == '"' || unit == '\\' ? "\\" + (char) unit : unit < ' ' ? String.format("\\u%04x", unit) : "" + (char) unit));
        return json.append('"').toString();
    }
}
