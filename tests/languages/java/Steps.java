import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.LocalDate;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.PGResultSetMetaData;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;

/**
 * pgjdbc. Arguments: base id, a name, then connection properties (preferQueryMode=simple ...).
 * Each step prints one line of JSON: {"step": ..., "ok": ..., "detail": ...}.
 */
public class Steps {
  static final String MEGABYTE = "Ω".repeat(262144) + "x".repeat(524288);
  static final String UNICODE = "Zoë Ελλάδα 😀 \u0001 \\ ' \" $1 ; -- \t\n";
  static final LocalDate BORN = LocalDate.of(1985, 12, 10);

  static int base;
  static String name;
  static boolean simple;
  static Connection connection;
  static String[] support; // Arguments that log support_login in.

  interface Act {
    void run() throws Exception;
  }

  public static void main(String[] arguments) throws Exception {
    base = Integer.parseInt(arguments[0]);
    name = arguments[1];
    connection = connect(arguments);
    support = Arrays.copyOf(arguments, arguments.length + 1);
    support[arguments.length] = "user=support_login";
    for (var step : steps().entrySet()) {
      String detail = "";
      try {
        step.getValue().run();
      } catch (Throwable error) {
        detail = error + " " + Arrays.asList(error.getStackTrace()).stream().filter(f -> f.getClassName().startsWith("Steps")).findFirst();
      }
      if (!connection.getAutoCommit()) { // A failed step is not to fail the next one.
        connection.rollback();
        connection.setAutoCommit(true);
      }
      System.out.printf("{\"step\": %s, \"ok\": %s, \"detail\": %s}%n", quoted(step.getKey()), detail.isEmpty(), quoted(detail));
    }
    connection.close();
  }

  static Connection connect(String... arguments) throws SQLException {
    var properties = new Properties();
    properties.setProperty("user", System.getenv("PGUSER"));
    for (String property : Arrays.asList(arguments).subList(2, arguments.length)) {
      String[] both = property.split("=", 2);
      properties.setProperty(both[0], both[1]);
      simple |= property.equals("preferQueryMode=simple");
    }
    String url = "jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
    return DriverManager.getConnection(url, properties);
  }

  static String quoted(String text) {
    var out = new StringBuilder("\"");
    for (char c : text.substring(0, Math.min(1500, text.length())).toCharArray())
      out.append(c == '"' || c == '\\' ? "\\" + c : c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
    return out.append('"').toString();
  }

  static void equal(Object got, Object want) {
    if (!Objects.equals(String.valueOf(got), String.valueOf(want)))
      throw new AssertionError("got " + clipped(got) + ", want " + clipped(want));
  }

  static String clipped(Object value) {
    String text = String.valueOf(value);
    return text.substring(0, Math.min(300, text.length()));
  }

  static String mail(int i) {
    return "canary-java-" + name + "-" + i + "@example.com";
  }

  static PreparedStatement prepare(String sql, Object... values) throws SQLException {
    var statement = connection.prepareStatement(sql);
    for (int i = 0; i < values.length; i++) statement.setObject(i + 1, values[i]);
    return statement;
  }

  static int execute(String sql, Object... values) throws SQLException {
    try (var statement = prepare(sql, values)) {
      return statement.execute() ? -1 : statement.getUpdateCount();
    }
  }

  /** The rows, each as a list of objects. */
  static List<List<Object>> query(String sql, Object... values) throws SQLException {
    try (var statement = prepare(sql, values); var rows = statement.executeQuery()) {
      return read(rows);
    }
  }

  static List<List<Object>> read(ResultSet rows) throws SQLException {
    var found = new ArrayList<List<Object>>();
    while (rows.next()) {
      var row = new ArrayList<Object>();
      for (int i = 1; i <= rows.getMetaData().getColumnCount(); i++) row.add(rows.getObject(i));
      found.add(row);
    }
    return found;
  }

  static String sqlstate(String sql, Object... values) {
    try {
      execute(sql, values);
      return "no error";
    } catch (SQLException error) {
      return error.getSQLState();
    }
  }

  /** Compares rows of (id, email); returns how many. */
  static int each(ResultSet rows) throws SQLException {
    int seen = 0;
    for (; rows.next(); seen++) equal(rows.getString(2), mail(rows.getInt(1) - base));
    return seen;
  }

  static Map<String, Act> steps() {
    var steps = new LinkedHashMap<String, Act>();
    steps.put("insert", Steps::insert);
    steps.put("read", Steps::read);
    if (!simple) steps.put("metadata of results", Steps::resultMetadata); // A simple query cannot be described.
    steps.put("metadata of the database", Steps::databaseMetadata);
    steps.put("lookup", Steps::lookup);
    steps.put("prepared often", Steps::preparedOften);
    steps.put("upsert", Steps::upsert);
    steps.put("batch", Steps::batch);
    steps.put("error in a batch", Steps::errorInBatch);
    steps.put("generated keys", Steps::generatedKeys);
    steps.put("copy in", Steps::copyIn);
    steps.put("copy out", Steps::copyOut);
    steps.put("paginate", Steps::paginate);
    steps.put("fetch size", Steps::fetchSize);
    steps.put("scrollable and updatable", Steps::updatable);
    steps.put("transaction", Steps::transaction);
    steps.put("savepoint", Steps::savepoint);
    steps.put("error in a transaction", Steps::errorInTransaction);
    steps.put("autosave", Steps::autosave);
    steps.put("cancel", Steps::cancel);
    steps.put("notifications", Steps::notifications);
    steps.put("large objects", Steps::largeObjects);
    steps.put("roles", Steps::roles);
    steps.put("values", Steps::values);
    steps.put("several statements", Steps::severalStatements);
    steps.put("delete", Steps::delete);
    return steps;
  }

  static void insert() throws Exception {
    String put = "INSERT INTO customers (id, name, email, ssn, birth_date, balance) VALUES (?, ?, ?, ?, ?, ?)";
    equal(execute(put, base, "Ann", mail(0), "123-45-6789", BORN, new BigDecimal("100.50")), 1);
    String returning = "INSERT INTO customers (id, name, email, ssn) VALUES (?, ?, ?, ?) RETURNING email, ssn";
    try (var statement = prepare(returning, base + 1, "Ben", mail(1))) {
      statement.setNull(4, Types.VARCHAR);
      statement.execute();
      equal(read(statement.getResultSet()), List.of(Arrays.asList(mail(1), null)));
    }
    try (var statement = prepare("UPDATE customers SET birth_date = ? WHERE id = ?")) {
      statement.setDate(1, java.sql.Date.valueOf(BORN)); // Sent with an unspecified type.
      statement.setInt(2, base + 1);
      equal(statement.executeUpdate(), 1);
    }
  }

  static void read() throws Exception {
    try (var statement = prepare("SELECT email, ssn, birth_date, balance FROM customers WHERE id = ?", base); var rows = statement.executeQuery()) {
      rows.next();
      equal(rows.getString("email"), mail(0));
      equal(rows.getString(2), "123-45-6789");
      equal(rows.getObject(3, LocalDate.class), BORN);
      equal(rows.getDate(3), "1985-12-10");
      equal(rows.getBigDecimal(4), "100.50");
      equal(rows.getObject(4).getClass(), BigDecimal.class);
    }
    equal(query("SELECT email FROM customers WHERE id = " + base), List.of(List.of(mail(0))));
    try (var statement = connection.createStatement(); var rows = statement.executeQuery("SELECT ssn FROM customers WHERE email = '" + mail(0) + "'")) {
      rows.next();
      equal(rows.getString(1), "123-45-6789");
    }
  }

  static void resultMetadata() throws Exception {
    try (var statement = prepare("SELECT id, email, birth_date, balance FROM customers WHERE email = ? AND birth_date = ?")) {
      ResultSetMetaData columns = statement.getMetaData();
      equal(columns.getColumnTypeName(2), "text");
      equal(columns.getColumnType(2), Types.VARCHAR);
      equal(columns.getColumnClassName(3), "java.sql.Date");
      equal(List.of(columns.getColumnTypeName(4), columns.getPrecision(4), columns.getScale(4)), List.of("numeric", 12, 2));
      equal(columns.unwrap(PGResultSetMetaData.class).getBaseTableName(2), "customers");
      ParameterMetaData parameters = statement.getParameterMetaData();
      equal(List.of(parameters.getParameterTypeName(1), parameters.getParameterTypeName(2)), List.of("text", "date"));
    }
  }

  static void databaseMetadata() throws Exception {
    DatabaseMetaData database = connection.getMetaData();
    try (var tables = database.getTables(null, "public", "customers", new String[] {"TABLE"})) {
      tables.next();
      equal(tables.getString("TABLE_NAME"), "customers");
    }
    var types = new ArrayList<String>();
    try (var columns = database.getColumns(null, "public", "customers", null)) {
      while (columns.next()) types.add(columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME") + " " + columns.getInt("DATA_TYPE"));
    }
    String sealed = types.get(2).startsWith("email text") ? "text " + Types.VARCHAR : "\"sealgate\".\"sealed_text\" " + Types.DISTINCT;
    equal(types.subList(0, 4), List.of("id int4 " + Types.INTEGER, "name text " + Types.VARCHAR, "email " + sealed, "ssn " + sealed));
    try (var keys = database.getPrimaryKeys(null, "public", "customers")) {
      keys.next();
      equal(keys.getString("COLUMN_NAME"), "id");
    }
    try (var indexes = database.getIndexInfo(null, "public", "customers", true, false)) {
      equal(indexes.next(), true);
    }
  }

  static void lookup() throws Exception {
    for (int i : new int[] {0, 1, 0, 1}) equal(query("SELECT id FROM customers WHERE email = ?", mail(i)), List.of(List.of(base + i)));
    Array wanted = connection.createArrayOf("text", new String[] {mail(1), mail(0), "nobody"});
    equal(query("SELECT id FROM customers WHERE email = ANY(?) ORDER BY id", wanted), List.of(List.of(base), List.of(base + 1)));
    equal(query("SELECT id FROM customers WHERE email IN (?, ?) AND birth_date = ?", mail(0), "x", BORN), List.of(List.of(base)));
    equal(query("SELECT id FROM customers WHERE email = ?", "nobody").size(), 0);
  }

  /** From the prepareThreshold on, pgjdbc names the statement, describes it and asks for binary values. */
  static void preparedOften() throws Exception {
    try (var find = prepare("SELECT id, email, birth_date, balance, ssn FROM customers WHERE email = ? AND birth_date = ?")) {
      for (int i = 0; i < 12; i++) {
        find.setString(1, mail(i % 2));
        find.setObject(2, BORN);
        try (var rows = find.executeQuery()) {
          rows.next();
          equal(rows.getInt(1), base + i % 2);
          equal(rows.getObject(3, LocalDate.class), BORN);
          equal(rows.getBigDecimal(4), i % 2 == 0 ? "100.50" : null);
        }
      }
    }
    try (var put = prepare("UPDATE customers SET ssn = ?, balance = ? WHERE email = ?")) {
      for (int i = 0; i < 12; i++) {
        put.setString(1, "ssn " + i);
        put.setBigDecimal(2, BigDecimal.valueOf(i, 1));
        put.setString(3, mail(0));
        equal(put.executeUpdate(), 1);
        equal(query("SELECT ssn, balance FROM customers WHERE id = ?", base), List.of(List.of("ssn " + i, BigDecimal.valueOf(i * 10L, 2))));
      }
    }
  }

  static void upsert() throws Exception {
    String sql = "INSERT INTO customers (id, name, email, ssn) VALUES (?, ?, ?, ?)"
        + " ON CONFLICT (email) DO UPDATE SET ssn = excluded.ssn, name = excluded.name RETURNING id, ssn";
    equal(query(sql, base + 99, "Ann", mail(0), "999-99-9999"), List.of(List.of(base, "999-99-9999")));
    equal(execute("UPDATE customers SET balance = ? WHERE email = ?", new BigDecimal("7.25"), mail(0)), 1);
  }

  static void batch() throws Exception {
    connection.setAutoCommit(false);
    try (var put = prepare("INSERT INTO customers (id, name, email, birth_date) VALUES (?, ?, ?, ?)")) {
      for (int i = 0; i < 500; i++) {
        put.setInt(1, base + 1000 + i);
        put.setString(2, "batch");
        put.setString(3, mail(1000 + i));
        put.setObject(4, BORN);
        put.addBatch();
      }
      equal(put.executeBatch().length, 500);
    }
    connection.commit();
    equal(query("SELECT id FROM customers WHERE email = ? AND birth_date = ?", mail(1499), BORN), List.of(List.of(base + 1499)));
    try (var statement = connection.createStatement()) {
      statement.addBatch("UPDATE customers SET ssn = 'a' WHERE email = '" + mail(0) + "'");
      statement.addBatch("UPDATE customers SET ssn = 'b' WHERE email = '" + mail(1) + "'");
      equal(Arrays.toString(statement.executeBatch()), "[1, 1]");
    }
  }

  static void errorInBatch() throws Exception {
    connection.setAutoCommit(false);
    try (var put = prepare("INSERT INTO customers (id, name, email) VALUES (?, 'x', ?)")) {
      for (int i : new int[] {50, 0, 51}) {
        put.setInt(1, base + 50 + i);
        put.setString(2, mail(i));
        put.addBatch();
      }
      put.executeBatch();
      throw new AssertionError("no error");
    } catch (BatchUpdateException error) {
      equal(error.getSQLState(), "23505");
    }
    connection.rollback();
    connection.setAutoCommit(true);
    equal(query("SELECT id FROM customers WHERE email = ?", mail(50)).size(), 0);
  }

  static void generatedKeys() throws Exception {
    String sql = "INSERT INTO customers (id, name, email) VALUES (?, 'g', ?)";
    try (var put = connection.prepareStatement(sql, new String[] {"id", "email"})) {
      put.setInt(1, base + 70);
      put.setString(2, mail(70));
      put.executeUpdate();
      equal(read(put.getGeneratedKeys()), List.of(List.of(base + 70, mail(70))));
    }
    try (var put = connection.prepareStatement("DELETE FROM customers WHERE id = ?", Statement.RETURN_GENERATED_KEYS)) {
      put.setInt(1, base + 70);
      put.executeUpdate(); // RETURNING *
      var rows = put.getGeneratedKeys();
      rows.next();
      equal(rows.getString("email"), mail(70));
    }
  }

  static CopyManager copies() throws SQLException {
    return connection.unwrap(PGConnection.class).getCopyAPI();
  }

  static void copyIn() throws Exception {
    var lines = new StringBuilder();
    for (int i = 0; i < 500; i++) lines.append(base + 2000 + i + ",copied,\"" + mail(2000 + i) + "\",1985-12-10\n");
    var data = new ByteArrayInputStream(lines.toString().getBytes(StandardCharsets.UTF_8));
    equal(copies().copyIn("COPY customers (id, name, email, birth_date) FROM STDIN (FORMAT csv)", data, 777), 500);
    var writer = copies().copyIn("COPY customers (id, name, email) FROM STDIN");
    byte[] line = (base + 2600 + "\tt\t" + mail(2600) + "\n").getBytes(StandardCharsets.UTF_8);
    for (byte one : line) writer.writeToCopy(new byte[] {one}, 0, 1);
    equal(writer.endCopy(), 1);
    var given = copies().copyIn("COPY customers (id, name, email) FROM STDIN");
    given.writeToCopy(line, 0, line.length);
    given.cancelCopy();
    try (var statement = prepare("DELETE FROM customers WHERE id >= ? AND id < ? RETURNING id, email", base + 2000, base + 3000)) {
      statement.execute();
      equal(each(statement.getResultSet()), 501);
    }
  }

  static void copyOut() throws Exception {
    var out = new ByteArrayOutputStream();
    String query = String.format("SELECT id, email FROM customers WHERE id BETWEEN %d AND %d ORDER BY id", base + 1000, base + 1499);
    equal(copies().copyOut("COPY (" + query + ") TO STDOUT", out), 500);
    equal(out.toString(StandardCharsets.UTF_8).split("\n")[7], base + 1007 + "\t" + mail(1007));
  }

  static void paginate() throws Exception {
    int seen = 0;
    for (int after = base + 999; ; ) {
      var page = query("SELECT id, email FROM customers WHERE id > ? AND id < ? ORDER BY id LIMIT ?", after, base + 1500, 120);
      if (page.isEmpty()) break;
      for (var row : page) equal(row.get(1), mail((int) row.get(0) - base));
      seen += page.size();
      after = (int) page.get(page.size() - 1).get(0);
    }
    equal(seen, 500);
  }

  /** Without autocommit, a fetch size makes a named portal that is executed in portions. */
  static void fetchSize() throws Exception {
    connection.setAutoCommit(false);
    try (var statement = prepare("SELECT id, email FROM customers WHERE id >= ? AND id < ? ORDER BY id", base + 1000, base + 1500)) {
      for (int size : new int[] {70, 500, 1, 499}) {
        statement.setFetchSize(size);
        try (var rows = statement.executeQuery()) {
          equal(each(rows), 500);
        }
      }
      statement.setMaxRows(10);
      try (var rows = statement.executeQuery()) {
        equal(each(rows), simple ? 500 : 10); // A simple query's rows are all sent.
      }
    }
    connection.commit();
  }

  static void updatable() throws Exception {
    String sql = "SELECT id, email, ssn FROM customers WHERE id IN (" + base + ", " + (base + 1) + ") ORDER BY id";
    try (var statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE); var rows = statement.executeQuery(sql)) {
      rows.last();
      equal(rows.getString("email"), mail(1));
      rows.first();
      rows.updateString("ssn", "by the result set");
      rows.updateRow();
      equal(query("SELECT ssn FROM customers WHERE email = ?", mail(0)), List.of(List.of("by the result set")));
    }
  }

  static void transaction() throws Exception {
    connection.setAutoCommit(false);
    connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
    execute("UPDATE customers SET email = ? WHERE id = ?", mail(77), base);
    equal(query("SELECT id FROM customers WHERE email = ?", mail(77)), List.of(List.of(base)));
    connection.rollback();
    equal(query("SELECT email FROM customers WHERE id = ?", base), List.of(List.of(mail(0))));
    connection.commit();
    connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
  }

  static void savepoint() throws Exception {
    connection.setAutoCommit(false);
    execute("UPDATE customers SET ssn = ? WHERE id = ?", "kept", base);
    Savepoint here = connection.setSavepoint("here");
    execute("UPDATE customers SET ssn = ? WHERE id = ?", "lost", base);
    equal(sqlstate("SELECT email, 1 / ?::int FROM customers", 0), "22012");
    connection.rollback(here);
    connection.releaseSavepoint(here);
    connection.commit();
    equal(query("SELECT ssn FROM customers WHERE id = ?", base), List.of(List.of("kept")));
  }

  static void errorInTransaction() throws Exception {
    connection.setAutoCommit(false);
    equal(sqlstate("INSERT INTO customers (id, name, email) VALUES (?, 'x', ?)", base + 50, mail(0)), "23505");
    if (!name.equals("autosave")) equal(sqlstate("SELECT email FROM customers WHERE id = ?", base), "25P02");
    connection.rollback();
    connection.setAutoCommit(true);
    equal(sqlstate("UPDATE customers SET birth_date = '2021-02-30' WHERE id = ?", base), "22008");
    equal(sqlstate("SELECT id FROM customers WHERE lower(ssn) = ?", "x"), "0A000");
    equal(query("SELECT email FROM customers WHERE id = ?", base), List.of(List.of(mail(0))));
  }

  /** autosave=always: a savepoint before each statement, gone back to when it fails. */
  static void autosave() throws Exception {
    connection.unwrap(PGConnection.class).setAutosave(org.postgresql.jdbc.AutoSave.ALWAYS);
    connection.setAutoCommit(false);
    execute("UPDATE customers SET ssn = ? WHERE id = ?", "autosaved", base);
    equal(sqlstate("INSERT INTO customers (id, name, email) VALUES (?, 'x', ?)", base + 50, mail(0)), "23505");
    equal(sqlstate("SELECT id FROM customers WHERE lower(ssn) = ?", "x"), "0A000");
    equal(query("SELECT ssn FROM customers WHERE email = ?", mail(0)), List.of(List.of("autosaved")));
    connection.commit();
    if (!name.equals("autosave")) connection.unwrap(PGConnection.class).setAutosave(org.postgresql.jdbc.AutoSave.NEVER);
  }

  static void cancel() throws Exception {
    try (var statement = prepare("SELECT email, pg_sleep(30) FROM customers WHERE id = ?", base)) {
      var timer = new Thread(() -> {
        try {
          Thread.sleep(300);
          statement.cancel();
        } catch (Exception error) {
          error.printStackTrace();
        }
      });
      timer.start();
      try {
        statement.executeQuery();
        throw new AssertionError("no error");
      } catch (SQLException error) {
        equal(error.getSQLState(), "57014");
      }
      timer.join();
      statement.setQueryTimeout(1);
      try {
        statement.executeQuery();
        throw new AssertionError("no error");
      } catch (SQLException error) {
        equal(error.getSQLState(), "57014");
      }
    }
    equal(query("SELECT email FROM customers WHERE id = ?", base), List.of(List.of(mail(0))));
  }

  static void notifications() throws Exception {
    try (var statement = connection.createStatement()) {
      statement.execute("LISTEN news_java");
      query("SELECT pg_notify('news_java', ?)::text FROM customers WHERE email = ?", "hello", mail(0));
      var heard = connection.unwrap(PGConnection.class).getNotifications(10_000);
      equal(heard.length, 1);
      equal(heard[0].getName() + " " + heard[0].getParameter(), "news_java hello");
      equal(heard[0].getPID(), connection.unwrap(PGConnection.class).getBackendPID());
      statement.execute("UNLISTEN *");
    }
  }

  static void largeObjects() throws Exception {
    connection.setAutoCommit(false);
    LargeObjectManager objects = connection.unwrap(PGConnection.class).getLargeObjectAPI(); // By the fast path.
    long oid = objects.createLO();
    byte[] written = new byte[100_000];
    new Random(1).nextBytes(written);
    System.arraycopy(new byte[] {0x5e, (byte) 0xa1, 1, 0}, 0, written, 0, 4);
    try (LargeObject object = objects.open(oid, LargeObjectManager.READWRITE)) {
      object.write(written);
      object.seek(0);
      equal(Arrays.equals(object.read(200_000), written), true);
    }
    objects.delete(oid);
    connection.commit();
  }

  static void roles() throws Exception {
    var mine = connection;
    connection = connect(support);
    try {
      var row = query("SELECT email, ssn, birth_date, balance FROM customers WHERE email = ?", mail(1000)).get(0);
      equal(row, Arrays.asList(mail(1000), null, "1985-01-01", null));
      equal(sqlstate("UPDATE customers SET email = ? WHERE id = ?", "x", base), "42501");
    } finally {
      connection.close();
      connection = mine;
    }
  }

  static void values() throws Exception {
    List<String> given = Arrays.asList(UNICODE.replace("\u0001", ""), "", null, MEGABYTE);
    for (int i = 0; i < 4; i++) {
      String value = given.get(i);
      String email = value == null ? null : value.substring(0, Math.min(60, value.length()));
      execute("INSERT INTO customers (id, name, email, ssn) VALUES (?, 'v', ?, ?)", base + 60 + i, email, value);
      equal(query("SELECT email, ssn FROM customers WHERE id = ?", base + 60 + i), List.of(Arrays.asList(email, value)));
      if (email != null) equal(query("SELECT id FROM customers WHERE email = ?", email), List.of(List.of(base + 60 + i)));
    }
    equal(execute("DELETE FROM customers WHERE id >= ? AND id < ?", base + 60, base + 70), 4);
  }

  static void severalStatements() throws Exception {
    try (var statement = prepare("UPDATE customers SET ssn = ? WHERE email = ?; SELECT ssn FROM customers WHERE email = ?", "two", mail(1), mail(1))) {
      equal(statement.execute(), false);
      equal(statement.getUpdateCount(), 1);
      equal(statement.getMoreResults(), true);
      equal(read(statement.getResultSet()), List.of(List.of("two")));
    }
  }

  static void delete() throws Exception {
    equal(execute("DELETE FROM customers WHERE id >= ? AND id < ?", base, base + 10000), 502);
  }
}
